/** The core in a real browser: in a page, in a Web Worker, as plain modules and in a bundle. */
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { repositoryRoot } from '../../../scripts/files.ts';
import { compiled } from '../../support/child.ts';
import { describeIf, requires } from '../../support/requires.ts';
import { echo, type NetAnswer } from './net-in-page.ts';
import { BROWSER_TEST_MS, OpenBrowser, type OpenPage } from './open-page.ts';
import type { ScenarioOptions, ScenarioResult } from './scenario.ts';

const SCENARIO = '/dist/test/system/browser/scenario.js';
const WORKER = '/dist/test/system/browser/scenario-worker.js';

const IN_PAGE = `const { scenario } = await import('${SCENARIO}'); return scenario(given);`;
const IN_WORKER = `
  const worker = new Worker('${WORKER}', { type: 'module' });
  const { result, error } = await new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = (event) => reject(new Error(event.message ?? 'the worker could not be loaded'));
    worker.postMessage(given);
  });
  worker.terminate();
  if (error !== undefined) throw new Error(error);
  return result;`;

const BYTES = 4 << 20;
const NOTHING = { buffers: 0, stateObjects: 0, connections: 0 };

function expectWhole(result: ScenarioResult): void {
  expect(result).toMatchObject({
    bytes: BYTES,
    isHashRight: true,
    refusals: [],
    findings: [],
    held: [NOTHING, NOTHING],
  });
  expect(result.framesLost).toBeGreaterThan(0);
  expect(Math.min(result.toTarget, result.toHost)).toBeGreaterThan(2);
  expect(result.captureBytes).toBeGreaterThan(BYTES);
  expect(result.captureMagic).toEqual([0x0a, 0x0d, 0x0d, 0x0a]);
}

describeIf(requires.browser, 'in a browser', () => {
  let browser: OpenBrowser;

  beforeAll(async () => {
    compiled('test/system/browser/scenario.ts');
    browser = await OpenBrowser.open();
  });
  afterAll(() => browser?.close());

  async function play(body: string, options: Partial<ScenarioOptions>): Promise<ScenarioResult> {
    const page = await browser.page();
    const result = await page.run<ScenarioResult>(body, { bytes: BYTES, ...options });
    expect(page.faults).toEqual([]);
    await page.page.close();
    return result;
  }

  describe.each([
    ['a page', IN_PAGE],
    ['a worker', IN_WORKER],
  ])('%s', (_, body) => {
    test('carries 4 MiB over a lossy wire while both ends move, watched by verifiers and a capture', async () => {
      expectWhole(await play(body, { loss: 0.01, seed: 3 }));
    });

    test('carries 4 MiB through a switch', async () => {
      expectWhole(await play(body, { loss: 0.005, seed: 4, isSwitched: true }));
    });
  });

  describe('the package by its name', () => {
    const hello = { heard: 'grüß dich', datagram: 'grüß dich', location: 'target', findings: 0 };
    const GREETING = 'dist/test/system/browser/greeting.js';

    test('as plain modules, by an import map, from a server of files', async () => {
      const page = await browser.page();
      const heard = await page.run(`return (await import('/${GREETING}')).greet(given);`, hello.heard);
      expect([heard, page.faults]).toEqual([hello, []]);
    });

    test('in one file that esbuild made, as a module of a page', async () => {
      const { warnings, text } = await bundled(GREETING, 'esm');
      expect(warnings).toEqual([]);
      const page = await browser.page();
      const run = `
        const url = URL.createObjectURL(new Blob([given.text], { type: 'text/javascript' }));
        return (await import(url)).greet(given.say);`;
      expect([await page.run(run, { text, say: hello.heard }), page.faults]).toEqual([hello, []]);
    });

    test('in one file that esbuild made, as the script of a classic worker', async () => {
      const { text } = await bundled(GREETING, 'iife');
      const page = await browser.page();
      const run = `
        const then = 'onmessage = async ({ data }) => postMessage(await greeting.greet(data));';
        const worker = new Worker(URL.createObjectURL(new Blob([given.text, then], { type: 'text/javascript' })));
        return new Promise((resolve, reject) => {
          worker.onmessage = ({ data }) => resolve(data);
          worker.onerror = (event) => reject(new Error(event.message));
          worker.postMessage(given.say);
        });`;
      expect([await page.run(run, { text, say: hello.heard }), page.faults]).toEqual([hello, []]);
    });
  });

  test('stack.net does in a page what it does in Node, where a bundler brings streams, events and Buffer along', async () => {
    const { warnings, text } = await bundled('dist/test/system/browser/net-in-page.js', 'esm', [
      'dist/test/system/browser/node-in-page.js',
    ]);
    expect(warnings).toEqual([]);
    const page = await browser.page();
    const run = `
      const url = URL.createObjectURL(new Blob([given.text], { type: 'text/javascript' }));
      return (await import(url)).echo(given.length);`;
    const answer = await page.run<NetAnswer>(run, { text, length: 1_000_000 });
    expect([answer, page.faults]).toEqual([await echo(1_000_000), []]);
    expect(answer).toMatchObject({ isSame: true, moves: 2, refused: 'connect ECONNREFUSED', datagram: 'a datagram' });
  });

  describe('what a page does not have', () => {
    let page: OpenPage;
    beforeAll(async () => {
      page = await browser.page();
    });
    afterAll(() => page?.page.close());

    async function told(program: string): Promise<string> {
      const answer = await page.run<string>(`
        const { createStack, memoryLinkPair, SystemRuntime } = await import('chimney');
        const runtime = new SystemRuntime();
        const { a } = memoryLinkPair({ runtime });
        const options = { runtime, links: [{ link: a, addresses: ['10.0.0.1/24'] }] };
        try {
          ${program};
          return 'nothing was said';
        } catch (error) {
          return error.message;
        }`);
      expect(page.faults).toEqual([]);
      return answer;
    }

    test.each([
      ['connect', 'createStack(options).net.connect(80, "10.0.0.2")'],
      ['createServer', 'createStack(options).net.createServer()'],
      ['a UDP socket', 'createStack(options).dgram.createSocket("udp4")'],
      ['http', 'createStack(options).net.http.createServer()'],
    ])('%s of stack.net says what is missing and what there is instead', async (_, program) => {
      expect(await told(program)).toMatch(/node:net's shape .* stack's transports/);
    });

    test('verify says which module has to be imported before', async () => {
      expect(await told('createStack({ ...options, verify: true })')).toContain("import 'chimney/contract' before");
    });
  });
});

vi.setConfig({ testTimeout: BROWSER_TEST_MS, hookTimeout: BROWSER_TEST_MS });

/** A program of the tests and all that it imports, in one file for browsers. */
async function bundled(
  entry: string,
  format: 'esm' | 'iife',
  inject: string[] = [],
): Promise<{ warnings: string[]; text: string }> {
  const { warnings, outputFiles } = await build({
    absWorkingDir: repositoryRoot(),
    entryPoints: [entry],
    inject,
    bundle: true,
    minify: true,
    platform: 'browser',
    format,
    globalName: 'greeting',
    write: false,
    logLevel: 'silent',
  });
  return { warnings: warnings.map((one) => one.text), text: outputFiles[0]!.text };
}
