/**
 * The demonstration over links in memory: a second stack downloads and uploads, with node:http on its own sockets.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createStack, memoryLinkPair, type Stack, type SystemRuntime } from 'chimney';
import { type RealFile, realFiles } from './content.ts';
import type { DemoOptions } from './options.ts';
import { type IpRoute, type Scene, type SceneLink, setScene } from './scene.ts';
import { SERVER_PORT } from './server.ts';
import type { Stream } from './streams.ts';

/** Moves that each connection makes at least. */
export const MOVES_EACH = 6;
const FILES_PER_DOWNLOAD = 3;
const CHUNK_BYTES = 32 * 1024;

/** A link's ends: names of the adapters, number of the networks. Connections are made over the first two. */
const LINKS = [
  { name: 'direct', number: 1, isViaIntermediate: false, target: 'engine' },
  { name: 'via-driver', number: 2, isViaIntermediate: true, target: 'engine' },
  { name: 'byway', number: 3, isViaIntermediate: false, target: 'plain' },
] as const;
const USED_LINKS = 2;
const BYWAY = 3;
/** Of so many downloads over a link one is routed asymmetrically. */
const ASYMMETRIC_EVERY = 3;

/** A scene whose other end is a stack as well. */
export interface MemoryScene extends Scene {
  readonly client: Stack;
}

export async function setMemoryScene(options: DemoOptions): Promise<MemoryScene> {
  const wires: ReturnType<typeof memoryLinkPair>[] = [];
  const scene = await setScene(options, MOVES_EACH, (runtime) => {
    for (const { name } of LINKS) wires.push(wire(options, runtime, name));
    return LINKS.map(({ number, isViaIntermediate, target }, i): SceneLink => {
      return {
        link: wires[i]!.a,
        addresses: prefixes(number, 1),
        routes: serverRoutes(number),
        isViaIntermediate,
        target,
      };
    });
  });
  const client = createStack({
    runtime: scene.runtime,
    verify: true,
    links: LINKS.map(({ number }, i) => ({
      link: wires[i]!.b,
      addresses: prefixes(number, 2),
      routes: clientRoutes(number),
    })),
  });
  return { ...scene, client };
}

/**
 * Asymmetric routing: what the client sends from its address on the byway takes the byway, and is answered over the connection's
 * own link. Its segments come in where its connection is not, so that the host forwards them to the target.
 */
function serverRoutes(network: number): IpRoute[] {
  return network === BYWAY ? [] : routes(prefixes(BYWAY, 2), prefixes(network, 2));
}

function clientRoutes(network: number): IpRoute[] {
  if (network !== BYWAY) return [];
  return LINKS.slice(0, USED_LINKS).flatMap(({ number }) => routes(prefixes(number, 1), prefixes(BYWAY, 1)));
}

/** To these hosts via those, IPv4 and IPv6. */
function routes(to: readonly string[], via: readonly string[]): IpRoute[] {
  return to.map((prefix, family) => ({
    to: `${addressOf(prefix)}/${family === 0 ? 32 : 128}`,
    via: addressOf(via[family]!),
  }));
}

function addressOf(prefix: string): string {
  return prefix.split('/')[0]!;
}

function wire(options: DemoOptions, runtime: SystemRuntime, name: string): ReturnType<typeof memoryLinkPair> {
  return memoryLinkPair({
    runtime,
    medium: 'ethernet',
    names: [name, `client-of-${name}`],
    seed: `${name} ${options.seed}`,
    impairment: { delayUs: Math.round(options.rttMs * 500), loss: options.loss },
  });
}

function prefixes(network: number, host: number): string[] {
  return [`10.71.${network}.${host}/24`, `fd71:0:0:${network}::${host}/64`];
}

/** Addresses of both ends of a connection. */
interface Ends {
  readonly server: string;
  readonly client: string;
}

function endsOf(options: DemoOptions, connection: number): Ends {
  const { number } = LINKS[connection % USED_LINKS]!;
  const isAsymmetric = Math.floor(connection / USED_LINKS) % ASYMMETRIC_EVERY === 0;
  const family = options.ipv6 ? 1 : 0;
  return {
    server: addressOf(prefixes(number, 1)[family]!),
    client: addressOf(prefixes(isAsymmetric ? BYWAY : number, 2)[family]!),
  };
}

/** Begins all downloads and uploads; resolves when they have ended, one way or the other. */
export async function runMemoryStreams(scene: MemoryScene): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'chimney-demo-'));
  try {
    await Promise.all(connectionsOf(scene, realFiles(folder)).map((run) => run()));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** What each connection does; all streams are made here, so that a request finds its own. */
function connectionsOf(scene: MemoryScene, files: readonly RealFile[]): (() => Promise<void>)[] {
  const { options, streams } = scene;
  const work: (() => Promise<void>)[] = [];
  for (let i = 0; i < options.connections; i++) {
    const own: Stream[] = [];
    for (let n = 0; n < Math.min(FILES_PER_DOWNLOAD, files.length); n++) {
      own.push(streams.ofFile(files[(i * FILES_PER_DOWNLOAD + n) % files.length]!));
    }
    own.splice(1, 0, streams.ofRandom('download', options.bytesPerDownload));
    work.push(() => runConnection(scene, endsOf(options, i), own));
  }
  for (let i = 0; i < uploadsFor(options.connections); i++) {
    const stream = streams.ofRandom('upload', Math.ceil(options.bytesPerDownload / 2));
    // The other way round, so that also a single download and a single upload use both links.
    work.push(() => runConnection(scene, endsOf(options, i + 1), [stream]));
  }
  return work;
}

/** Uploads beside so many downloads. */
export function uploadsFor(connections: number): number {
  return Math.max(1, Math.ceil(connections / 4));
}

/** One connection, kept alive, for these streams one after the other. */
async function runConnection(scene: MemoryScene, ends: Ends, own: readonly Stream[]): Promise<void> {
  const agent = new scene.client.net.http.Agent({ keepAlive: true, maxSockets: 1 });
  for (const stream of own) {
    try {
      await request(agent, ends, stream, stream === own[own.length - 1]);
    } catch (error) {
      stream.end(error);
    }
  }
  agent.destroy();
}

async function request(agent: http.Agent, ends: Ends, stream: Stream, isLast: boolean): Promise<void> {
  const isUpload = stream.kind === 'upload';
  const outgoing = http.request({
    agent,
    host: ends.server,
    localAddress: ends.client,
    port: SERVER_PORT,
    path: `/streams/${stream.id}`,
    method: isUpload ? 'PUT' : 'GET',
    headers: {
      connection: isLast ? 'close' : 'keep-alive',
      ...(isUpload ? { 'content-length': stream.content.length } : {}),
    },
  });
  const response = new Promise<http.IncomingMessage>((resolve, reject) => {
    outgoing.once('response', resolve);
    outgoing.once('error', reject);
    outgoing.once('close', () => reject(new Error('the connection closed before the answer')));
  });
  response.catch(() => {}); // told by the upload already, if it is that which fails
  if (isUpload) await pipeline(stream.sending(slices(stream.content)), outgoing);
  else outgoing.end();
  const incoming = await response;
  let answer = '';
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    if (isUpload) answer += chunk.toString();
    else stream.received(chunk);
  }
  if (incoming.statusCode !== 200) throw new Error(`the server answered ${incoming.statusCode}`);
  if (!isUpload) stream.end();
  else if (answer.trim() !== stream.receivedHash) throw new Error('the server told another hash than it computed');
}

function* slices(content: Buffer): Generator<Buffer> {
  for (let at = 0; at < content.length; at += CHUNK_BYTES) yield content.subarray(at, at + CHUNK_BYTES);
}
