// How the books are asked: Connect's JSON, one POST a question. See docs/api.md.

const keyName = 'filature.key';

// Problem is an error of the API: its code, words for people, and which field broke which rule.
export class Problem extends Error {
  constructor(code, message, { field = '', rule = '' } = {}) {
    super(message);
    Object.assign(this, { code, field, rule });
  }
}

// The key lives as long as this tab, and goes nowhere but to this server.
export const key = () => sessionStorage.getItem(keyName) ?? '';
export function setKey(text) {
  if (text) sessionStorage.setItem(keyName, text);
  else sessionStorage.removeItem(keyName);
}

// answerWithin is a little more than the server gives itself.
const answerWithin = 25_000;

// ask asks one method, such as 'JobService/GetJob', and returns its answer or throws a Problem.
export async function ask(method, request = {}, signal = undefined) {
  const headers = { 'Content-Type': 'application/json' };
  if (key()) headers.Authorization = `Bearer ${key()}`;
  const limit = AbortSignal.timeout(answerWithin);
  let response;
  try {
    response = await fetch(`/filature.query.v1.${method}`, {
      method: 'POST', headers, body: JSON.stringify(request), signal: signal ? AbortSignal.any([signal, limit]) : limit,
    });
  } catch (cause) {
    if (signal?.aborted) throw cause;
    throw new Problem('unreachable', 'The server does not answer. It may be starting again.');
  }
  const text = await response.text();
  let body;
  try {
    body = JSON.parse(text);
  } catch {
    body = { code: response.status === 404 ? 'unimplemented' : 'unknown', message: text.trim() || response.statusText };
  }
  if (response.ok) return body;
  throw new Problem(body.code ?? 'unknown', body.message ?? response.statusText, body.details?.find((d) => d.debug)?.debug);
}

// Books are the questions of one page. Each is answered from where the one before was, or later, so that no figure of a
// page is older than another that it was read after; at is where.
export class Books {
  constructor(signal, least = []) {
    this.signal = signal;
    this.at = least;
    this.reads = new Map();
  }

  async ask(method, request = {}) {
    const reading = this.at.length ? { atLeast: { ledgerOffsets: this.at } } : undefined;
    const answer = await ask(method, reading ? { reading, ...request } : request, this.signal);
    const offsets = answer.position?.ledgerOffsets;
    if (offsets) {
      this.reads.set(method.split('/')[1], offsets);
      if (!this.at.length || offsets.every((o, i) => BigInt(o) >= BigInt(this.at[i] ?? 0))) this.at = offsets;
    }
    return answer;
  }

  // all asks several things at once: {trial: ['MoneyService/GetTrialBalance'], …}. What this key may not ask, and what is
  // not there, comes back as a Problem in its place; any other trouble is the page's.
  async all(questions) {
    const answers = await Promise.all(Object.entries(questions).filter(([, q]) => q).map(async ([name, [method, request]]) => {
      try {
        return [name, await this.ask(method, request)];
      } catch (problem) {
        if (['permission_denied', 'not_found', 'unimplemented'].includes(problem.code)) return [name, problem];
        throw problem;
      }
    }));
    return Object.fromEntries(answers);
  }
}

// got is an answer, or nothing in place of a Problem.
export const got = (answer) => (answer instanceof Problem ? undefined : answer);
