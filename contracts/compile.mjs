// Compiles the contracts into build/, or with --check proves that build/ is what the sources give.
//
//   npm ci && node compile.mjs [--check]
import { readFile, writeFile, mkdir } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { runTolkCompiler } from '@ton/tolk-js';

const contracts = ['vault', 'claim_account'];
const here = new URL('./', import.meta.url);
const check = process.argv.includes('--check');

async function compile(name) {
  const result = await runTolkCompiler({
    entrypointFileName: `${name}.tolk`,
    fsReadCallback: (path) => readFileSync(new URL(path, here), 'utf8'),
    optimizationLevel: 2,
  });
  if (result.status === 'error') {
    throw new Error(result.message);
  }
  return `${JSON.stringify({ tolk: result.tolkVersion, hash: result.codeHashHex.toLowerCase(), code: result.codeBoc64 }, null, 2)}\n`;
}

await mkdir(new URL('build/', here), { recursive: true });
let stale = false;
for (const name of contracts) {
  const file = new URL(`build/${name}.json`, here);
  const compiled = await compile(name);
  if (!check) {
    await writeFile(file, compiled);
    console.log(`${name} ${JSON.parse(compiled).hash}`);
  } else if ((await readFile(file, 'utf8').catch(() => '')) !== compiled) {
    console.error(`contracts/build/${name}.json is not what contracts/${name}.tolk compiles to; run: node compile.mjs`);
    stale = true;
  }
}
process.exitCode = stale ? 1 : 0;
