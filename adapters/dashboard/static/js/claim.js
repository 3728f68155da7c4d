// How a payee collects what the active root gives it. Anybody may send the message; its coins only go to the payee. On a
// local chain the server sends it, elsewhere a wallet does: one that this page asks over TON Connect, or any by link or from
// the QR code.
import { h } from './dom.js';
import { ask } from './api.js';
import { copyable, facts, money, nothing } from './parts.js';
import { big } from './words.js';
import { qr } from './qr.js';
import { canAsk, openWallet, walletDialog } from './wallet.js';

// What this page has been told of a claim, by payee and batch, until the books have it.
const told = new Map();

// The dialog stands first, where nothing before it comes or goes: an open one that is moved is no longer in front.
export const claimable = (claim, payee) => [canAsk(claim) && walletDialog(claim, payee), offer(claim, payee)];

function offer(claim, payee) {
  const key = `${payee}/${claim.batch}`;
  const news = told.get(key);
  if (big(claim.claimableNano) === 0n) {
    return [
      news?.state && h('div', { class: 'verdict good', role: 'status' }, h('strong', {}, 'Collected'), h('p', {}, 'The vault has paid, and the books have seen it.')),
      nothing(claim.batch ? ['All that batch ', h('a', { href: `/batches/${claim.batch}` }, claim.batch), ' gives is paid: ', money(claim.paidNano)] : 'No batch is in force yet.'),
    ];
  }
  return h('div', { class: 'claim' },
    h('div', { class: 'offer' },
      h('p', { class: 'amount' }, money(claim.claimableNano)),
      h('p', { class: 'soft' }, 'Batch ', h('a', { href: `/batches/${claim.batch}` }, claim.batch), ' is in force and gives ', money(claim.cumulativeNano), ' in all; ', money(claim.paidNano), ' of it was paid.'),
      h('p', { class: 'ways' },
        claim.sends && h('button', { type: 'button', class: 'primary', disabled: news?.busy || news?.state === 'sent', onclick: () => send(key, payee) }, news?.busy ? 'Sending' : news?.state === 'sent' ? 'Sent' : 'Claim'),
        canAsk(claim) && h('button', { type: 'button', class: claim.sends ? null : 'primary', onclick: openWallet }, 'Claim with a wallet'),
        claim.link && h('a', { class: claim.sends || canAsk(claim) ? 'plain' : 'primary', href: claim.link }, canAsk(claim) ? 'Open as a link' : 'Open in a wallet')),
      h('p', { role: 'status', class: news?.trouble ? 'fault' : 'soft' }, news?.trouble ?? (news?.state === 'sent' ? 'The message is on chain. The books see the payment in a moment.' : claim.sends ? 'This server has a chain of its own and sends the message for you.' : 'Any wallet can send it, and pays the fee. What is left of the attached coins goes to the payee.')),
      h('details', {}, h('summary', {}, 'The message'), facts([
        ['To the vault', copyable(claim.vault)], ['Attached', money(claim.attachNano)], ['Payout root', copyable(claim.payoutRoot)], ['Body, for TON Connect', copyable(claim.payload)],
      ]))),
    claim.link && code(claim.link));
}

async function send(key, payee) {
  const redraw = () => document.dispatchEvent(new Event('redraw'));
  told.set(key, { busy: true });
  redraw();
  try {
    const { state } = await ask('ClaimService/Claim', { payee });
    told.set(key, { state });
  } catch (problem) {
    told.set(key, { trouble: problem.message });
  }
  redraw();
  document.dispatchEvent(new Event('look'));
}

// code is a link for a phone's camera.
function code(link) {
  const drawn = qr(link, 'The claim as a QR code for a wallet');
  return drawn && h('figure', { class: 'code' }, drawn, h('figcaption', { class: 'soft' }, 'With a wallet’s camera'));
}
