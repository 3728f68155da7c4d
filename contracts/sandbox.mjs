// Executes transactions in the C++ virtual machine, compiled to WebAssembly, for the tests in adapters/ton
// that compare it with the one in Go. Reads a request a line from its standard input and writes an answer
// a line, in the same order, until the input ends.
//
//   {"world", "config"}                                      a new world without accounts, or other prices for a known one
//   {"world", "account", "state"}                            an account's state from now on
//   {"world"}                                                forget it
//   {"world", "account", "message", "now", "lt", "seed"}  -> {"transaction", "state"}, or {"error"} if there is none
//
// Cells travel as bags of cells in base64. A world has the accounts that it was told, and what became of them.
import { createInterface } from 'node:readline';
import { Executor } from '@ton/sandbox';

const executor = await Executor.create();
const worlds = new Map();

async function execute(world, request) {
  const message = { toBoc: () => ({ toString: () => request.message }) }; // all that the executor wants of a cell
  const { result } = await executor.runTransaction({
    config: world.config,
    libs: null,
    verbosity: 'short',
    shardAccount: world.accounts.get(request.account),
    message,
    now: request.now,
    lt: BigInt(request.lt),
    randomSeed: Buffer.from(request.seed, 'hex'),
    ignoreChksig: false,
    debugEnabled: false,
  });
  if (!result.success) {
    return { error: result.error };
  }
  world.accounts.set(request.account, result.shardAccount);
  return { transaction: result.transaction, state: result.shardAccount };
}

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  if (request.config) {
    worlds.set(request.world, { config: request.config, accounts: worlds.get(request.world)?.accounts ?? new Map() });
  } else if (request.state) {
    worlds.get(request.world).accounts.set(request.account, request.state);
  } else if (request.message) {
    process.stdout.write(`${JSON.stringify(await execute(worlds.get(request.world), request))}\n`);
  } else {
    worlds.delete(request.world);
  }
}
