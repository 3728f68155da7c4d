// How a page asks somebody's wallet for something: TON Connect 2 (ton-blockchain/ton-connect: bridge, session,
// requests-responses). A wallet elsewhere is reached over its bridge, which passes sealed messages on and is not trusted;
// one that is in this browser puts a bridge of its own into the page. Both are a Connection:
//
//   start()            begins to listen, and asks for the connection if there is none yet
//   ask(method, params) → the wallet's answer, or throws a Trouble
//   end()              stops listening; the session stays
//   disconnect()       ends the session, and tells the wallet
//
// It tells of what happens by calling told('away' | 'back' | 'connected' | 'ended' | 'refused', words).
import '../thirdparty/tweetnacl/nacl-fast.min.js';

const { nacl } = globalThis;
const version = 2;

// Trouble is why there is no answer that one could use: 'refused' by the person, 'failed' in the wallet, 'away' where the
// bridge does not answer, 'late' where the wallet did not.
export class Trouble extends Error {
  constructor(kind, message) {
    super(message);
    this.kind = kind;
  }
}

// Codes of errors of wallets.
const declined = 300;
const fault = ({ code, message } = {}) => new Trouble(code === declined ? 'refused' : 'failed', message || `the wallet's error ${code}`);

// aliveSeconds is how long a bridge keeps a message for a wallet that is not listening: the least that every bridge allows.
export const aliveSeconds = 300;
// What a bridge that went away is given before it is asked again, and at most.
const firstRestMs = 1000;
const lastRestMs = 15_000;
// postWithinMs is how long a bridge may take to take a message.
const postWithinMs = 15_000;
// mostBytes bounds what is read of a message, sealed: an answer has 2 kB, with a wallet's code 10.
const mostBytes = 256 * 1024;

const toHex = (bytes) => Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('');
const fromHex = (text) => Uint8Array.from(text.match(/../g) ?? [], (two) => Number.parseInt(two, 16));
const toBase64 = (bytes) => btoa(Array.from(bytes, (b) => String.fromCharCode(b)).join(''));
const fromBase64 = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

// seal and unseal are session.md's encryption: a nonce of 24 bytes, and NaCl's box. unseal is undefined for what is of
// somebody else, or of nobody.
function seal(message, to, secret) {
  const nonce = nacl.randomBytes(nacl.box.nonceLength);
  const sealed = nacl.box(new TextEncoder().encode(JSON.stringify(message)), nonce, fromHex(to), fromHex(secret));
  const all = new Uint8Array(nonce.length + sealed.length);
  all.set(nonce);
  all.set(sealed, nonce.length);
  return toBase64(all);
}

function unseal(text, from, secret) {
  try {
    if (text.length > mostBytes || !/^[0-9a-f]{64}$/.test(from)) return undefined;
    const all = fromBase64(text);
    const open = nacl.box.open(all.subarray(nacl.box.nonceLength), all.subarray(0, nacl.box.nonceLength), fromHex(from), fromHex(secret));
    return open ? JSON.parse(new TextDecoder().decode(open)) : undefined;
  } catch {
    return undefined;
  }
}

// newSession is a key pair that nobody knows yet, for one wallet. It is a plain value, to be kept for as long as the tab is
// open: secret and id in hexadecimal; peer, address, network and device once the wallet has answered; last is the newest
// event of the bridge, event the newest of the wallet, request that of ours.
export function newSession(wallet) {
  const { publicKey, secretKey } = nacl.box.keyPair();
  return { wallet: wallet.app_name, id: toHex(publicKey), secret: toHex(secretKey), last: '', event: -1, request: 0 };
}

// The links that open a wallet: one that asks it to connect, and one that only brings it to the front.
const connectLink = (wallet, id, manifestUrl) => walletLink(wallet, { v: version, id, r: JSON.stringify(connectRequest(manifestUrl)), ret: 'back' });
export const openLink = (wallet, id) => walletLink(wallet, { id, ret: 'back' });

const connectRequest = (manifestUrl) => ({ manifestUrl, items: [{ name: 'ton_addr' }] });

function walletLink(wallet, parameters) {
  const query = new URLSearchParams(parameters).toString().replaceAll('+', '%20');
  if (!wallet.universal_url) return `tc://?${query}`;
  const url = new URL(wallet.universal_url);
  if (url.hostname !== 't.me') return `${wallet.universal_url}${url.search ? '&' : '?'}${query}`;
  // A program inside Telegram is started with one parameter of letters, digits, _ and -; its wallet undoes this.
  if (url.searchParams.has('attach')) {
    url.searchParams.delete('attach');
    url.pathname += '/start';
  }
  const packed = query.replaceAll('.', '%2E').replaceAll('-', '%2D').replaceAll('_', '%5F').replaceAll('&', '-').replaceAll('=', '__').replaceAll('%', '--');
  url.searchParams.set('startapp', `tonconnect-${packed}`);
  return url.toString();
}

// introduced reads what a wallet says of itself as it connects, and throws a Trouble if it can't do what is needed.
function introduced({ payload }) {
  const account = payload?.items?.find((item) => item.name === 'ton_addr');
  const device = payload?.device ?? {};
  if (!/^-?\d{1,3}:[0-9a-f]{64}$/i.test(account?.address ?? '') || !/^-?\d{1,10}$/.test(account.network ?? '')) throw new Trouble('failed', 'The wallet gave no address.');
  if (!device.features?.some((f) => f === 'SendTransaction' || f.name === 'SendTransaction')) throw new Trouble('failed', 'The wallet can’t send what a page asks for.');
  return { address: account.address.toLowerCase(), network: String(account.network), device: String(device.appName ?? '').slice(0, 40) };
}

// OverBridge is the connection to a wallet that is elsewhere. save is called with the session when it has changed.
export class OverBridge {
  constructor(wallet, session, { manifestUrl, told, save }) {
    Object.assign(this, { session, told, save, restMs: firstRestMs, waiting: new Map(), source: null, timer: 0 });
    this.url = wallet.bridge.find((b) => b.type === 'sse').url;
    this.link = connectLink(wallet, session.id, manifestUrl);
  }

  start() {
    if (this.source || this.timer) return;
    const { id, last } = this.session;
    const query = new URLSearchParams({ client_id: id, ...(last && { last_event_id: last }) });
    this.source = new EventSource(`${this.url}/events?${query}`);
    this.source.onopen = () => {
      this.restMs = firstRestMs;
      this.told('back');
    };
    this.source.onerror = () => { // also where the bridge only ends a long answer, as it does now and then
      this.source.close();
      this.source = null;
      this.told('away');
      this.timer = setTimeout(() => { this.timer = 0; this.start(); }, this.restMs);
      this.restMs = Math.min(2 * this.restMs, lastRestMs);
    };
    this.source.onmessage = (event) => this.#heard(event);
  }

  // heard takes what the bridge passes on. What is not for us, or was heard before, is nothing.
  #heard({ data, lastEventId }) {
    if (data === 'heartbeat') return;
    if (lastEventId) this.session.last = lastEventId;
    let from;
    let message;
    try {
      ({ from, message } = JSON.parse(data));
    } catch {
      return;
    }
    if (this.session.peer && from !== this.session.peer) return;
    const said = unseal(message, from, this.session.secret);
    if (!said) return;
    if (said.event) this.#happened(from, said);
    else this.#answered(said);
    this.save(this.session);
  }

  #happened(from, said) {
    if (!(said.id > this.session.event)) return;
    if (!this.session.peer && said.event === 'connect') {
      try {
        Object.assign(this.session, introduced(said), { peer: from, event: said.id });
        this.told('connected');
      } catch (trouble) {
        this.told('refused', trouble.message);
      }
    } else if (!this.session.peer && said.event === 'connect_error') {
      this.told('refused', said.payload?.code === declined ? '' : said.payload?.message);
    } else if (this.session.peer && said.event === 'disconnect') {
      this.session.event = said.id;
      this.end(new Trouble('refused', 'The wallet has ended the connection.'));
      this.told('ended');
    }
  }

  #answered(said) {
    const waits = this.waiting.get(String(said.id));
    if (!waits) return;
    this.waiting.delete(String(said.id));
    if (said.error) waits.reject(fault(said.error));
    else waits.resolve(said.result);
  }

  async ask(method, params) {
    this.start();
    const id = String(++this.session.request);
    this.save(this.session);
    const answer = new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Trouble('late', 'The wallet did not answer in time.')), aliveSeconds * 1000);
      const settled = (settle) => (value) => { clearTimeout(late); settle(value); };
      this.waiting.set(id, { resolve: settled(resolve), reject: settled(reject) });
    });
    answer.catch(() => {}); // it is awaited below, if the bridge takes the question
    try {
      await this.#post({ method, params, id }, method);
      return await answer;
    } finally {
      this.waiting.delete(id);
    }
  }

  async #post(message, topic) {
    const query = new URLSearchParams({ client_id: this.session.id, to: this.session.peer, ttl: aliveSeconds, topic });
    const body = seal(message, this.session.peer, this.session.secret);
    let response;
    try {
      response = await fetch(`${this.url}/message?${query}`, { method: 'POST', body, signal: AbortSignal.timeout(postWithinMs) });
    } catch {
      throw new Trouble('away', 'The wallet’s bridge does not answer. Nothing was sent.');
    }
    if (!response.ok) throw new Trouble('away', `The wallet’s bridge did not take the message (${response.status}). Nothing was sent.`);
  }

  end(why = new Trouble('failed', 'This page stopped listening before the wallet answered. If it sends the claim, the payment is shown all the same.')) {
    this.source?.close();
    clearTimeout(this.timer);
    Object.assign(this, { source: null, timer: 0 });
    for (const waits of this.waiting.values()) waits.reject(why);
    this.waiting.clear();
  }

  disconnect() {
    const request = String(++this.session.request);
    if (this.session.peer) this.#post({ method: 'disconnect', params: [], id: request }, 'disconnect').catch(() => {}); // it finds out
    this.end();
  }
}

// injected is the bridge that a wallet in this browser has put into the page, if it has.
export const injected = (wallet) => wallet.bridge.filter((b) => b.type === 'js').map((b) => window[b.key]?.tonconnect).find(Boolean);

// InBrowser is the connection to a wallet that is in this browser.
export class InBrowser {
  constructor(wallet, session, { manifestUrl, told, save }) {
    Object.assign(this, { session, manifestUrl, told, save, bridge: injected(wallet), stop: null });
  }

  async start() {
    if (this.stop) return;
    this.stop = this.bridge.listen((event) => { if (event.event === 'disconnect') { this.end(); this.told('ended'); } });
    try {
      const said = await (this.session.address ? this.bridge.restoreConnection() : this.bridge.connect(version, connectRequest(this.manifestUrl)));
      if (said.event !== 'connect') throw fault(said.payload);
      Object.assign(this.session, introduced(said));
      this.save(this.session);
      this.told('connected');
    } catch (trouble) {
      this.end();
      this.told('refused', trouble.kind === 'refused' ? '' : trouble.message);
    }
  }

  async ask(method, params) {
    const id = String(++this.session.request);
    this.save(this.session);
    let said;
    try {
      said = await this.bridge.send({ method, params, id });
    } catch (problem) {
      throw fault(problem);
    }
    if (said.error) throw fault(said.error);
    return said.result;
  }

  end() {
    this.stop?.();
    this.stop = null;
  }

  disconnect() {
    this.bridge.send({ method: 'disconnect', params: [], id: String(++this.session.request) }).catch(() => {});
    this.end();
  }
}
