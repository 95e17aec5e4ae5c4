/** The capture driver: what it tells, of frames and of the chimney, and that it changes nothing. */
import { describe, expect, test } from 'vitest';
import { explore } from '../../src/conformance/explore.ts';
import { findingText } from '../../src/contract/finding.ts';
import { Capture, type CaptureOutput } from '../../src/im/capture.ts';
import { EngineAdapter } from '../../src/target/engine/engine-adapter.ts';
import { expectNothingHeld, settled } from '../stack/support.ts';
import { connectPeers, twoHosts } from '../stack/two-hosts.ts';

/** Keeps what it is told. */
class Notes implements CaptureOutput {
  readonly frames: { direction: 0 | 1; bytes: Uint8Array }[] = [];
  readonly operations: string[] = [];
  flushes = 0;
  packet(direction: 0 | 1, _by: number, bytes: Uint8Array, at: number, length: number): void {
    this.frames.push({ direction, bytes: bytes.slice(at, at + length) });
  }
  operation(text: string): void {
    this.operations.push(text.split(/[ :]/)[0]!);
  }
  flush(): void {
    this.flushes++;
  }
}

const sourcePortOf = (bytes: Uint8Array): number => (bytes[34]! << 8) | bytes[35]!;

describe('capture', () => {
  test('tells every frame of the host path and every operation of the chimney, and the streams stay whole', async () => {
    const notes = new Notes();
    const wire = new Notes();
    const hosts = twoHosts({
      impairment: { delayUs: 500, rateBps: 50_000_000 },
      server: {
        capture: wire,
        intermediates: [(environment, below, name) => new Capture(environment, below, { name, output: notes })],
      },
    });
    const { server, client } = connectPeers(hosts, 400_000, 400_000);
    hosts.runtime.runUntil(() => server.isConnected, 5_000_000);
    hosts.runtime.advance(20_000);
    // Until now everything passed as frames: the very ones that were on the wire.
    expect(notes.frames.map(({ bytes }) => bytes)).toEqual(wire.frames.map(({ bytes }) => bytes));
    expect(new Set(notes.frames.map(({ direction }) => direction))).toEqual(new Set([0, 1]));
    await settled(hosts, server.endpoint.chimney.offload());
    const before = notes.frames.length;
    hosts.runtime.advance(20_000);
    expect(notes.frames.slice(before).some(({ bytes }) => sourcePortOf(bytes) === 80)).toBe(false);
    await settled(hosts, server.endpoint.chimney.query());
    await settled(hosts, server.endpoint.chimney.takeBack());
    hosts.runtime.runUntil(() => server.closedWith !== undefined && client.closedWith !== undefined, 60_000_000);
    expect([server.received, server.wrongBytes, client.received, client.wrongBytes]).toEqual([400_000, 0, 400_000, 0]);
    const seen = new Set(notes.operations);
    for (const name of [
      'NdisInitiateOffload',
      'NdisMInitiateOffloadComplete',
      'NdisQueryOffloadState',
      'NdisTerminateOffload',
      'NdisMTerminateOffloadComplete',
      'NdisOffloadTcpSend',
      'NdisTcpOffloadSendComplete',
      'NdisTcpOffloadReceiveHandler',
      'NdisOffloadTcpReceiveReturn',
    ]) {
      expect(seen, name).toContain(name);
    }
    await expectNothingHeld(hosts);
    expect(notes.flushes).toBe(1);
  });

  test('tells what is asked for: frames that match, moves without data calls, nothing while it is stopped', async () => {
    const notes = new Notes();
    const hosts = twoHosts({
      server: {
        intermediates: [
          (environment, below, name) =>
            new Capture(environment, below, { name, output: notes, match: 'tcp port 80', data: false, isOn: false }),
        ],
      },
    });
    const driver = hosts.server.driver(Capture);
    const { server, client } = connectPeers(hosts, 100_000, 100_000, 4, 80, false);
    const other = connectPeers(hosts, 100_000, 100_000, 4, 81, false);
    hosts.runtime.runUntil(() => server.isConnected && other.server.isConnected, 5_000_000);
    expect([driver.isOn, driver.frames, notes.frames.length]).toEqual([false, 0, 0]);
    driver.start();
    driver.start();
    hosts.runtime.advance(200_000);
    client.more(50_000);
    other.client.more(50_000);
    hosts.runtime.advance(200_000);
    expect(driver.frames).toBeGreaterThan(0);
    expect(notes.frames.length).toBe(driver.frames);
    await settled(hosts, server.endpoint.chimney.offload());
    client.more(50_000);
    hosts.runtime.advance(200_000);
    expect(new Set(notes.operations)).toEqual(new Set(['NdisInitiateOffload', 'NdisMInitiateOffloadComplete']));
    driver.stop();
    expect(notes.flushes).toBe(1);
    const before = driver.frames;
    other.client.more(50_000);
    hosts.runtime.advance(200_000);
    expect(driver.frames).toBe(before);
    server.endpoint.abort();
    other.server.endpoint.abort();
    await expectNothingHeld(hosts);
  });

  test("by name it writes a pcapng file of the adapter's medium", async () => {
    const pieces: Uint8Array[] = [];
    const hosts = twoHosts({
      medium: 'ip',
      server: { intermediates: [{ kind: 'capture', write: (bytes) => pieces.push(bytes) }] },
    });
    const { server } = connectPeers(hosts, 10_000, 10_000);
    hosts.runtime.runUntil(() => server.closedWith !== undefined, 60_000_000);
    await expectNothingHeld(hosts);
    const file = Buffer.concat(pieces);
    expect([file.readUInt32LE(0), file.readUInt32LE(32), file.readUInt16LE(40)]).toEqual([0x0a0d0d0a, 1, 101]);
    expect(file.includes('handled by the host stack')).toBe(true);
  });

  test('says what is missing', () => {
    expect(() => twoHosts({ server: { intermediates: ['capture' as 'filter'] } })).toThrow(
      "{ kind: 'capture', write }",
    );
    expect(() =>
      twoHosts({ server: { intermediates: [{ kind: 'capture', write: () => {}, match: 'tcp prot 80' }] } }),
    ).toThrow('found');
  });

  test('passes the conformance suite', () => {
    const { findings } = explore(
      {
        target: (environment) => new EngineAdapter(environment),
        drivers: [(environment, below, name) => new Capture(environment, below, { name, output: new Notes() })],
      },
      { seed: 1, interleavings: 300 },
    );
    expect(findings.map(findingText)).toEqual([]);
  });
});
