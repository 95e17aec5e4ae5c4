/** A capture of a link in a file of its own, and what tshark says about it. */
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Medium } from '../../../src/link/link.ts';
import { PcapngWriter } from '../../../src/link/pcapng.ts';
import { run } from './programs.ts';

/**
 * A wire that loses nothing needs none; but a machine that pauses this process for longer than a timer of either side makes the
 * sender repeat what it had under way, a window of 1 MiB (720 segments) each time. Far less than a storm.
 */
export const RETRANSMISSIONS_MAX = 1500;

/** A capture that is being written. */
export class Capture {
  readonly tap: PcapngWriter;
  readonly file: string;
  readonly #folder: string;
  readonly #fd: number;
  #isClosed = false;

  /** `snapLength`: bytes kept of each packet; the headers are enough for everything but checksums. */
  constructor(medium: Medium, snapLength = 128) {
    this.#folder = mkdtempSync(join(tmpdir(), 'chimney-capture-'));
    this.file = join(this.#folder, 'capture.pcapng');
    this.#fd = openSync(this.file, 'w');
    this.tap = new PcapngWriter({
      medium,
      snapLength,
      limitBytes: 1 << 30,
      write: (bytes) => void writeSync(this.#fd, bytes),
    });
  }

  /** Frames for which each display filter holds, in the order of the filters; one pass over the file. */
  async count(...filters: readonly string[]): Promise<number[]> {
    this.tap.flush();
    const check = ['-o', 'tcp.check_checksum:TRUE', '-o', 'ip.check_checksum:TRUE', '-o', 'udp.check_checksum:TRUE'];
    const columns = filters.map((filter) => `,${filter}`).join('');
    const args = ['-n', '-r', this.file, ...check, '-q', '-z', `io,stat,0${columns}`];
    const { stdout } = await run('tshark', args, { timeoutMs: 120_000 });
    const row = stdout.split('\n').find((line) => line.includes('<>'));
    const cells = row?.split('|').slice(2) ?? [];
    return filters.map((_, i) => Number(cells[i * 2]?.trim()));
  }

  /** Values of fields in the frames for which the filter holds: a line a frame, fields between tabs. */
  async fields(filter: string, ...names: readonly string[]): Promise<string[]> {
    this.tap.flush();
    const wanted = names.flatMap((name) => ['-e', name]);
    const args = ['-n', '-r', this.file, '-Y', filter, '-T', 'fields', ...wanted];
    const { stdout } = await run('tshark', args, { timeoutMs: 120_000 });
    return stdout.split('\n').filter((line) => line !== '');
  }

  /**
   * Resets of connections that were not over, a line each. One that answers a segment which comes after both ends have closed (a FIN repeated
   * because its acknowledgment was late) is what RFC 9293 section 3.10.7.1 demands.
   */
  async untimelyResets(): Promise<string[]> {
    const closed = new Map<string, Set<string>>();
    const resets: string[] = [];
    const columns = [
      'tcp.stream',
      'ip.src',
      'ipv6.src',
      'tcp.flags.reset',
      'frame.time_relative',
      'tcp.seq',
      'tcp.ack',
    ];
    for (const line of await this.fields('tcp.flags.fin==1 || tcp.flags.reset==1', ...columns)) {
      const [stream = '', ip4 = '', ip6 = '', isReset] = line.split('\t');
      const ends = closed.get(stream) ?? new Set<string>();
      closed.set(stream, ends);
      if (isReset === 'True' || isReset === '1') {
        if (ends.size < 2) resets.push(`${columns.join(' ')}: ${line.replaceAll('\t', ' ')}`);
      } else ends.add(ip4 + ip6);
    }
    return resets;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    closeSync(this.#fd);
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
