/**
 * The demonstration over a real TUN device: the machine's own curl downloads and uploads through the kernel's TCP.
 *
 * Two devices, so that half of the connections go through an intermediate driver; IPv4 and IPv6 on both. Needs root, Linux,
 * koffi and curl.
 */
import { spawn, spawnSync } from 'node:child_process';
import { pipeline } from 'node:stream/promises';
import { parseIp } from 'chimney';
import { TunLink } from 'chimney/node';
import { type DemoOptions, UsageError } from './options.ts';
import { type Scene, type SceneLink, setScene } from './scene.ts';
import { SERVER_PORT } from './server.ts';
import type { Stream } from './streams.ts';

/** Moves that each connection makes at least. */
const MOVES_EACH = 24;
const CHUNK_BYTES = 64 * 1024;
/** Networks for tests of network devices (RFC 2544), and a unique local prefix (RFC 4193). */
const NETWORKS = [
  { v4: '198.18.71', v6: 'fd71:18:71:1:', isViaIntermediate: false },
  { v4: '198.18.72', v6: 'fd71:18:71:2:', isViaIntermediate: true },
] as const;

export async function setTunScene(options: DemoOptions): Promise<Scene> {
  if (spawnSync('curl', ['--version'], { stdio: 'ignore' }).status !== 0) {
    throw new UsageError('--tun: expected the program curl, which makes the downloads; it was not found');
  }
  const opened: TunLink[] = [];
  try {
    return await setScene(options, MOVES_EACH, () =>
      NETWORKS.map(({ v4, v6, isViaIntermediate }): SceneLink => {
        const link = TunLink.open({ addresses: [kernelAddress(`${v4}.1`, 24), kernelAddress(`${v6}:1`, 64)] });
        opened.push(link);
        return { link, addresses: [`${v4}.2/24`, `${v6}:2/64`], routes: [], isViaIntermediate, target: 'engine' };
      }),
    );
  } catch (error) {
    await Promise.all(opened.map((link) => link.close()));
    if ((error as { code?: string }).code === 'EPERM' || (error as { code?: string }).code === 'EACCES') {
      throw new UsageError(`--tun: needs root: ${(error as Error).message}`);
    }
    throw error;
  }
}

function kernelAddress(text: string, prefixLength: number): { address: Uint8Array; prefixLength: number } {
  return { address: parseIp(text)!.bytes, prefixLength };
}

/** Begins all downloads and uploads; resolves when they have ended, one way or the other. */
export async function runTunStreams(scene: Scene, signal: AbortSignal): Promise<void> {
  const { options, streams } = scene;
  const uploads = Math.max(2, Math.ceil(options.connections / 4));
  const work: Promise<void>[] = [];
  // Downloads use IPv4 and IPv6 by turns, and so do uploads; the devices are the other way round for these.
  for (let i = 0; i < options.connections; i++) {
    const stream = streams.ofRandom('download', options.bytesPerDownload);
    work.push(download(stream, urlOf(stream, i, i), signal));
  }
  for (let i = 0; i < uploads; i++) {
    const stream = streams.ofRandom('upload', Math.ceil(options.bytesPerDownload / 2));
    work.push(upload(stream, urlOf(stream, i, i + 1), signal));
  }
  await Promise.all(work);
}

/** Even numbers are IPv4 and the first device. */
function urlOf(stream: Stream, family: number, device: number): string {
  const { v4, v6 } = NETWORKS[device % NETWORKS.length]!;
  const host = family % 2 === 0 ? `${v4}.2` : `[${v6}:2]`;
  return `http://${host}:${SERVER_PORT}/streams/${stream.id}`;
}

const CURL = ['--silent', '--show-error', '--fail', '--noproxy', '*', '--globoff'];

async function download(stream: Stream, url: string, signal: AbortSignal): Promise<void> {
  try {
    await curl([...CURL, url], signal, async (child) => {
      for await (const chunk of child.stdout as AsyncIterable<Buffer>) stream.received(chunk);
    });
    stream.end();
  } catch (error) {
    stream.end(error);
  }
}

async function upload(stream: Stream, url: string, signal: AbortSignal): Promise<void> {
  try {
    let answer = '';
    const args = [...CURL, '--upload-file', '-', '--header', 'expect:', url];
    await curl(args, signal, async (child) => {
      const sent = pipeline(stream.sending(slices(stream.content)), child.stdin!);
      for await (const chunk of child.stdout as AsyncIterable<Buffer>) answer += chunk.toString();
      await sent;
    });
    if (answer.trim() !== stream.receivedHash) throw new Error('the server told another hash than it computed');
  } catch (error) {
    stream.end(error);
  }
}

type Child = ReturnType<typeof spawn>;

/** Runs curl; rejects with what it says when it does not end well. */
async function curl(args: readonly string[], signal: AbortSignal, use: (child: Child) => Promise<void>): Promise<void> {
  const child = spawn('curl', args, { stdio: ['pipe', 'pipe', 'pipe'], signal });
  let complaint = '';
  child.stderr!.on('data', (text: Buffer) => {
    complaint += text.toString();
  });
  child.stdin!.on('error', () => {}); // curl tells why it stopped reading
  const ended = new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) resolve();
      else reject(new Error(complaint.trim() || `curl ended with ${code}`));
    });
  });
  ended.catch(() => {});
  await use(child).catch(async (error: unknown) => {
    await ended;
    throw error;
  });
  await ended;
}

function* slices(content: Buffer): Generator<Buffer> {
  for (let at = 0; at < content.length; at += CHUNK_BYTES) yield content.subarray(at, at + CHUNK_BYTES);
}
