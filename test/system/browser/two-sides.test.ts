/** Stacks that are apart: one in a page and one in a worker of it, one in a page and one in this process. */
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import { type FrameSocket, WebSocketLink } from '../../../src/link/browser/index.ts';
import { compiled } from '../../support/child.ts';
import { describeIf, requires } from '../../support/requires.ts';
import { seed } from '../../support/seed.ts';
import { BROWSER_TEST_MS, OpenBrowser } from './open-page.ts';
import { type PeerOptions, type PeerResult, receiver } from './peer.ts';

vi.setConfig({ testTimeout: BROWSER_TEST_MS, hookTimeout: BROWSER_TEST_MS });

const HERE = '/dist/test/system/browser';
const BROWSER_LINKS = '/dist/src/link/browser/index.js';

const PAGE_AND_WORKER = `
  const { MessagePortLink } = await import('${BROWSER_LINKS}');
  const { sender } = await import('${HERE}/peer.js');
  const { options, largeSendBytes } = given;
  const worker = new Worker('${HERE}/peer-worker.js', { type: 'module' });
  const { port1, port2 } = new MessageChannel();
  let ready, ended;
  const isReady = new Promise((resolve) => (ready = resolve));
  const received = new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => (data === 'ready' ? ready() : data.error ? reject(new Error(data.error)) : resolve(data.result));
    worker.onerror = (event) => reject(new Error(event.message ?? 'the worker could not be loaded'));
  });
  worker.postMessage({ port: port2, largeSendBytes, options }, [port2]);
  await Promise.race([isReady, received]);
  const sent = await sender((runtime) => new MessagePortLink({ runtime, port: port1, ...(largeSendBytes > 0 ? { largeSendBytes } : {}) }), options);
  const result = [sent, await received];
  worker.terminate();
  return result;`;

const OVER_A_WEBSOCKET = `
  const { WebSocketLink } = await import('${BROWSER_LINKS}');
  const { sender } = await import('${HERE}/peer.js');
  // A browser gives up what is connecting when an address of the machine changes, and tests beside this one see to that.
  const open = () => new Promise((resolve) => {
    const socket = new WebSocket(given.url);
    socket.onopen = () => resolve(socket);
    socket.onerror = () => resolve(null);
  });
  let socket = await open();
  for (let i = 0; i < 20 && socket === null; i++) {
    await new Promise((resolve) => setTimeout(resolve, 250));
    socket = await open();
  }
  if (socket === null) throw new Error('the WebSocket does not open');
  return sender((runtime) => new WebSocketLink({ runtime, socket }), given.options);`;

const OPTIONS: PeerOptions = { bytes: 6 << 20, seed, moveMs: 10, verify: true };

function expectSame(sent: PeerResult, received: PeerResult): void {
  const clean = {
    bytes: OPTIONS.bytes,
    refusals: [],
    findings: [],
    held: { buffers: 0, stateObjects: 0, connections: 0 },
  };
  expect([sent, received]).toMatchObject([clean, clean]);
  expect(received.sha256).toBe(sent.sha256);
  expect(Math.min(sent.moves, received.moves)).toBeGreaterThan(1);
}

describeIf(requires.browser, 'a browser with one of two stacks', () => {
  let browser: OpenBrowser;

  beforeAll(async () => {
    compiled('test/system/browser/peer.ts');
    browser = await OpenBrowser.open();
  });
  afterAll(() => browser?.close());

  test.each([
    ['frames of 1500 bytes', 0],
    ['super-segments', 65_535],
  ])('in a page, the other in a worker, over a MessagePort with %s, both ends moved', async (_, largeSendBytes) => {
    const page = await browser.page();
    const given = { options: OPTIONS, largeSendBytes };
    const [sent, received] = await page.run<[PeerResult, PeerResult]>(PAGE_AND_WORKER, given);
    expectSame(sent, received);
    expect(page.faults).toEqual([]);
    await page.page.close();
  });

  describe('in a page, the other in Node', () => {
    let server: WebSocketServer;

    beforeAll(async () => {
      server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
      await new Promise((resolve) => server.once('listening', resolve));
    });
    afterAll(() => {
      for (const client of server.clients) client.terminate();
      server.close();
    });

    test('over a WebSocket, both ends moved', async () => {
      const receiving = new Promise<PeerResult>((resolve, reject) => {
        server.once('connection', (socket: WebSocket) => {
          receiver((runtime) => new WebSocketLink({ runtime, socket: socket as FrameSocket }), OPTIONS).then(
            resolve,
            reject,
          );
        });
      });
      const { port } = server.address() as { port: number };
      const page = await browser.page();
      const sending = page.run<PeerResult>(OVER_A_WEBSOCKET, { options: OPTIONS, url: `ws://127.0.0.1:${port}` });
      expectSame(...(await Promise.all([sending, receiving])));
      expect(page.faults).toEqual([]);
      await page.page.close();
    });
  });
});
