// How a payee collects what the active root gives it. Anybody may send the message; its coins only go to the payee. On a
// local chain the server sends it, elsewhere a wallet does, by link or from the QR code.
import qrcode from '/assets/thirdparty/qrcode/qrcode.mjs';
import { h } from './dom.js';
import { ask } from './api.js';
import { copyable, facts, money, nothing } from './parts.js';
import { big } from './words.js';

// What this page has been told of a claim, by payee and batch, until the books have it.
const told = new Map();

export function claimable(claim, payee) {
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
        claim.link && h('a', { class: claim.sends ? 'plain' : 'primary', href: claim.link }, 'Open in a wallet')),
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

// code draws a link for a phone's camera. The most forgiving size that still fits the proof is the one with low redundancy.
function code(link) {
  const qr = qrcode(0, 'L');
  qr.addData(link);
  try {
    qr.make();
  } catch {
    return null; // longer than a code can be
  }
  const n = qr.getModuleCount();
  let d = '';
  for (let y = 0; y < n; y++) for (let x = 0; x < n; x++) if (qr.isDark(y, x)) d += `M${x} ${y}h1v1h-1z`;
  return h('figure', { class: 'code' },
    h('svg', { viewBox: `-2 -2 ${n + 4} ${n + 4}`, role: 'img', 'aria-label': 'The claim as a QR code for a wallet', 'shape-rendering': 'crispEdges' },
      h('rect', { x: -2, y: -2, width: n + 4, height: n + 4, fill: '#fff' }), h('path', { d, fill: '#000' })),
    h('figcaption', { class: 'soft' }, 'With a wallet’s camera'));
}
