// The dialog in which a wallet sends a claim: choose one, connect it, have it send, see it paid. What it knows is one value;
// each stage of it is a view. Until somebody chooses a wallet the page speaks to no bridge.
import { h, patch } from './dom.js';
import { copyable, facts, money } from './parts.js';
import { friendly } from './address.js';
import { big } from './words.js';
import { qr } from './qr.js';
import { InBrowser, OverBridge, Trouble, aliveSeconds, injected, newSession, openLink } from './tonconnect.js';

const sessionName = 'filature.wallet';
const manifestUrl = `${location.origin}/tonconnect-manifest.json`;

// The wallets that this server's operator offers: undefined before the answer, and empty where there is none.
let offered;
export const walletsKnown = fetch('/tonconnect-wallets.json').then((r) => (r.ok ? r.json() : []), () => []).then((list) => {
  offered = list;
});

const redraw = () => document.dispatchEvent(new Event('redraw'));

// stage is 'choose', 'connecting', 'connected', 'asking', 'refused', 'sent' or 'trouble'.
const state = { stage: 'choose', wallet: null, connection: null, away: false, note: '', claim: null, payee: '', owed: 0n };

// canAsk says whether a wallet can be asked for a claim: there is one to choose, and the network is known that it has to be on.
export const canAsk = (claim) => Boolean(claim.tonNetwork) && offered?.length > 0;

// The session lives as long as this tab, as the key of the API does.
const kept = () => { try { return JSON.parse(sessionStorage.getItem(sessionName)); } catch { return null; } };
const keep = (session) => sessionStorage.setItem(sessionName, JSON.stringify(session));
const forget = () => sessionStorage.removeItem(sessionName);

// walletDialog is part of a claim's section, and stays shut until openWallet.
export const walletDialog = (claim, payee) => h('dialog', { key: 'wallet', id: 'wallet-dialog', class: 'wallet', 'aria-labelledby': 'wallet-title', onclose: shut, widget: { make: box, spec: { claim, payee } } });

function box(element) {
  return {
    set({ claim, payee }) {
      if (state.payee !== payee) Object.assign(state, { stage: rest(), note: '' }); // what was said was of another claim
      Object.assign(state, { claim, payee });
      patch(element, view());
    },
    end() { state.connection?.end(); },
  };
}

export function openWallet() {
  const session = kept();
  const wallet = offered.find((w) => w.app_name === session?.wallet);
  if (session?.address && wallet && !state.connection) connect(wallet, session);
  else if (state.connection) state.connection.start();
  const ended = state.stage === 'sent' || state.stage === 'refused' || state.stage === 'trouble';
  if (ended) state.stage = rest();
  redraw();
  document.getElementById('wallet-dialog').showModal();
  heading();
}

// rest is the stage from which a claim begins.
const rest = () => (state.connection?.session.address ? 'connected' : 'choose');

// turn goes to another stage, and says so to whoever reads by ear.
function turn(stage, note = '') {
  Object.assign(state, { stage, note });
  redraw();
  if (document.getElementById('wallet-dialog')?.open) heading();
}

const heading = () => document.getElementById('wallet-title')?.focus();
const close = () => { document.getElementById('wallet-dialog').close(); shut(); };

// shut is called when the dialog is closed, also by Escape. The browser calls it a moment later, when it may be open again.
// A wallet that was asked may still answer.
function shut() {
  if (document.getElementById('wallet-dialog')?.open) return;
  if (state.stage === 'connecting') leave();
  else if (state.stage !== 'asking') state.connection?.end();
}

// leave forgets the wallet.
function leave() {
  state.connection?.disconnect();
  forget();
  Object.assign(state, { connection: null, wallet: null, away: false });
  turn('choose');
}

function connect(wallet, session = newSession(wallet)) {
  const Kind = injected(wallet) ? InBrowser : OverBridge;
  const connection = new Kind(wallet, session, {
    manifestUrl,
    save: (latest) => { if (state.connection === connection) keep(latest); },
    told: (news, words) => { if (state.connection === connection) hear(news, words); },
  });
  Object.assign(state, { wallet, connection, away: false });
  turn(session.address ? 'connected' : 'connecting');
  connection.start();
}

// hear takes what a connection tells.
function hear(news, words) {
  const { session } = state.connection;
  switch (news) {
    case 'away':
    case 'back':
      state.away = news === 'away';
      redraw();
      break;
    case 'connected':
      if (session.network === state.claim.tonNetwork) {
        if (state.stage === 'connecting') turn('connected');
        break;
      }
      words = `${state.wallet.name} is on ${networkOf(session.network)}. This claim is on ${networkOf(state.claim.tonNetwork)}: change the network in the wallet, and connect it again.`;
      leave();
      turn('trouble', words);
      break;
    case 'refused': {
      const { name } = state.wallet;
      leave();
      turn('trouble', words || `${name} refused to connect.`);
      break;
    }
    default: // ended
      words = `${state.wallet.name} has ended the connection.`;
      leave();
      if (document.getElementById('wallet-dialog')?.open) turn('trouble', words);
  }
}

const networks = { '-239': 'TON’s main network', '-3': 'TON’s test network' };
const networkOf = (number) => networks[number] ?? `the network ${number}`;

// send asks the wallet for the claim as it is now: what it had a minute ago may be of the batch before.
async function send() {
  const { claim, connection } = state;
  const { session } = connection;
  state.owed = big(claim.cumulativeNano);
  turn('asking');
  try {
    await connection.ask('sendTransaction', [JSON.stringify({
      valid_until: Math.floor(Date.now() / 1000) + aliveSeconds, network: claim.tonNetwork, from: session.address,
      messages: [{ address: claim.vault, amount: String(claim.attachNano), payload: claim.payload }],
    })]);
    turn('sent');
    document.dispatchEvent(new Event('look'));
  } catch (trouble) {
    if (!(trouble instanceof Trouble)) throw trouble;
    if (state.connection !== connection) return; // its end was told
    if (trouble.kind === 'refused') turn('refused');
    else turn('trouble', trouble.message);
  }
}

// landed says whether the claim is paid. Once it was sent that is as much as it was for: another batch may be in force by then.
const landed = (claim) => (state.stage === 'sent' ? big(claim.paidNano) >= state.owed : big(claim.claimableNano) === 0n);

function view() {
  const { claim, stage } = state;
  const paid = landed(claim);
  const show = paid && stage !== 'choose' ? views.paid : views[stage];
  return h('div', { class: 'stage', key: paid ? 'paid' : stage }, show(state.wallet, claim),
    h('p', { key: 'away', role: 'status', class: 'fault away' }, state.away && !paid ? `The bridge of ${state.wallet.name} does not answer. It is asked again; or choose another wallet.` : ''));
}

const title = (text) => h('h2', { key: 'title', id: 'wallet-title', tabindex: '-1' }, text);
const button = (words, onclick, kind) => h('button', { key: words, type: 'button', class: kind, onclick }, words);
const ways = (...some) => h('div', { key: 'ways', class: 'ways' }, some);

const views = {
  choose: () => [
    title('Claim with a wallet'),
    h('p', { class: 'soft' }, 'It sends the claim and pays the fee. The coins go to the provider, whoever sends it.'),
    h('ul', { class: 'choices' }, offered.filter((w) => injected(w) || w.bridge.some((b) => b.type === 'sse')).map((w) => h('li', { key: w.app_name },
      h('button', { type: 'button', onclick: () => connect(w) }, h('span', {}, w.name), h('span', { class: 'soft' }, injected(w) ? 'in this browser' : 'on a phone or this device'))))),
    h('p', { class: 'soft small' }, 'This page speaks to a wallet’s own bridge once you choose it, and to no other.'),
    ways(button('Close', close)),
  ],

  connecting: (wallet) => {
    const { link } = state.connection;
    return [
      title(`Connect ${wallet.name}`),
      link ? [
        h('div', { key: 'code', class: 'code' }, qr(link, `The connection as a QR code for ${wallet.name}`)),
        h('p', { class: 'soft', role: 'status' }, `Scan it with ${wallet.name}, or open it on this device. Waiting for the wallet.`),
        ways(h('a', { key: 'open', class: 'primary', id: 'wallet-link', href: link, target: '_blank', rel: 'noopener noreferrer' }, `Open ${wallet.name}`), button('Another wallet', leave)),
        h('details', { key: 'link' }, h('summary', {}, 'The link'), copyable(link)),
      ] : [
        h('p', { class: 'soft', role: 'status' }, `Say yes in ${wallet.name}.`),
        ways(button('Another wallet', leave)),
      ],
    ];
  },

  connected: (wallet, claim) => [
    title('Send the claim'),
    facts([
      ['Collects', money(claim.claimableNano)],
      ['For', h('code', {}, friendly(claim.payee))],
      ['From', h('code', {}, from())],
      ['Attached', [money(claim.attachNano), h('span', { class: 'soft' }, ' and what the vault leaves of it goes to the provider, too')]],
    ]),
    ways(button(`Send with ${wallet.name}`, send, 'primary'), button('Disconnect', leave)),
  ],

  asking: (wallet) => [
    title(`Confirm in ${wallet.name}`),
    h('p', { class: 'soft', role: 'status' }, `The claim is with ${wallet.name}. It can send it for ${aliveSeconds / 60} minutes.`),
    ways(state.connection.link && h('a', { key: 'open', class: 'primary', href: openLink(wallet, state.connection.session.id), target: '_blank', rel: 'noopener noreferrer' }, `Open ${wallet.name}`), button('Close', close)),
  ],

  refused: (wallet) => [
    title(`${wallet.name} refused`),
    h('p', { class: 'soft', role: 'status' }, 'Nothing was sent. What is due stays due.'),
    ways(button('Ask again', send, 'primary'), button('Disconnect', leave)),
  ],

  sent: (wallet) => [
    title('Sent'),
    h('p', { class: 'soft', role: 'status' }, `${wallet.name} has sent the claim. The books see the payment when its block is final, in some seconds.`),
    ways(button('Close', close)),
  ],

  paid: () => [
    title('Collected'),
    h('div', { class: 'verdict good', role: 'status' }, h('p', {}, 'The vault has paid, and the books have seen it.')),
    ways(button('Close', close, 'primary'), state.connection && button('Disconnect', leave)),
  ],

  trouble: () => [
    title('It did not work'),
    h('p', { class: 'fault', role: 'alert' }, state.note),
    ways(state.connection ? button('Try again', () => turn('connected'), 'primary') : button('Choose a wallet', () => turn('choose'), 'primary'), button('Close', close)),
  ],
};

// from is the wallet's address, not bounceable, as wallets show their own.
function from() {
  const [, account] = state.connection.session.address.split(':');
  return friendly(account);
}
