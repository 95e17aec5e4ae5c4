/**
 * The machine's own iperf3 against the example server: data both ways at full speed through the kernel's TCP, over IPv4 and
 * IPv6, while every data connection is offloaded and taken back.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeIf, requires } from '../support/requires.ts';
import { type Example, SUBNET, startServer } from './support/example.ts';
import { until } from './support/kernel-world.ts';
import { run } from './support/programs.ts';

const ADDRESSES = { 4: `10.99.${SUBNET}.2`, 6: `fd99:${Number(SUBNET).toString(16)}::2` } as const;

interface Sum {
  readonly bytes: number;
  readonly seconds: number;
}

/** The part of iperf3's report that is looked at. */
interface Report {
  readonly error?: string;
  readonly start: { readonly test_start: { readonly num_streams: number } };
  readonly end: { readonly sum_sent: Sum; readonly sum_received: Sum; readonly sum_received_bidir_reverse?: Sum };
}

/** The line that the server prints after a test. */
interface ServerLine {
  readonly streams: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly moves: number;
  readonly findings: number;
}

describeIf([requires.tun, requires.program('iperf3')], 'iperf3 of the kernel', () => {
  let server: Example;
  let tests = 0;

  beforeAll(async () => {
    server = await startServer('iperf3-server', ['--subnet', SUBNET, '--move', '20']);
  });

  afterAll(async () => {
    expect(await server.end()).toBe(0);
  });

  /** Runs the client; answers its report and the server's. */
  async function measure(family: 4 | 6, ...options: string[]): Promise<{ report: Report; line: ServerLine }> {
    const args = ['-c', ADDRESSES[family], '-t', '2', '-J', ...options];
    const { stdout } = await run('iperf3', args, { timeoutMs: 20_000 });
    tests++;
    const lines = (): string[] => server.stdout().trimEnd().split('\n').slice(1);
    await until(() => lines().length === tests, 'the line of the server');
    return { report: JSON.parse(stdout) as Report, line: JSON.parse(lines().at(-1)!) as ServerLine };
  }

  test.each([
    [4, 'sends', []],
    [6, 'sends', []],
    [4, 'receives', ['-R']],
    [6, 'receives', ['-R']],
    [4, 'sends in four streams with CUBIC', ['-P', '4', '-C', 'cubic']],
    [6, 'receives in four streams', ['-P', '4', '-R']],
    [4, 'sends small blocks without Nagle', ['-l', '100', '-N']],
  ] as const)(
    'over IPv%i it %s',
    async (family, _what, options) => {
      const { report, line } = await measure(family, ...options);
      const { sum_sent: sent, sum_received: received } = report.end;
      expect(report.error).toBeUndefined();
      expect(received.bytes).toBeGreaterThan(1_000_000);
      // What is in flight when the time is up was sent and is not counted as received.
      expect(received.bytes).toBeLessThanOrEqual(sent.bytes);
      expect(sent.bytes - received.bytes).toBeLessThan(64 << 20);
      const isReverse = (options as readonly string[]).includes('-R');
      expect(isReverse ? line.bytesSent : line.bytesReceived).toBe(isReverse ? sent.bytes : received.bytes);
      expect(line.streams).toBe(report.start.test_start.num_streams);
      expect(line.moves).toBeGreaterThan(20);
      expect(line.findings).toBe(0);
    },
    30_000,
  );

  test('in both directions at once', async () => {
    const { report, line } = await measure(4, '--bidir');
    expect(report.end.sum_received.bytes).toBeGreaterThan(1_000_000);
    expect(report.end.sum_received_bidir_reverse?.bytes).toBeGreaterThan(1_000_000);
    expect([line.streams, line.findings]).toEqual([2, 0]);
    expect(line.moves).toBeGreaterThan(20);
  }, 30_000);

  test('asks for UDP and is told that there is none', async () => {
    const args = ['-c', ADDRESSES[4], '-u', '-t', '1', '-J'];
    const { stdout } = await run('iperf3', args, { mustSucceed: false });
    expect((JSON.parse(stdout) as Report).error).toMatch(/not (supported|implemented)/);
    expect(server.stderr()).toBe('this server knows TCP only\n');
  });
});
