/** The kernel's ping: echo over IPv4 and IPv6, small and in fragments, while connections come and go beside it. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { describeIf, requires } from '../support/requires.ts';
import { KernelWorld } from './support/kernel-world.ts';

let world: KernelWorld;

afterEach(async () => {
  await world.close();
});

const NEEDS = [requires.tun, requires.program('ping'), requires.program('tshark')];

for (const kind of ['tun', 'tap'] as const) {
  describeIf(NEEDS, `ping over a ${kind.toUpperCase()} device`, () => {
    beforeEach(() => {
      world = new KernelWorld({ kind, captureAll: true });
    });

    test.each([
      [4, 56],
      [6, 56],
      [4, 0],
      [6, 0],
      [4, 1473],
      [6, 1453],
      [4, 8000],
      [6, 8000],
      [4, 65_000],
      [6, 65_000],
    ] as const)('IPv%i, %i bytes: every echo comes back unchanged', async (family, bytes) => {
      // The pattern is compared by ping itself: what differs is told in its output.
      const line = `ping -${family} -n -c 10 -i 0.05 -w 10 -s ${bytes} -p c0ffee01 ${world.stackAddress(family)}`;
      const { stdout } = await world.shell(line);
      // Asked for ten, ping waits for ten: one that is slow for the machine's sake is asked again, one that is lost is missed.
      const received = Number(/ (\d+) received/.exec(stdout)?.[1]);
      expect(received, stdout).toBeGreaterThanOrEqual(10);
      expect(stdout).not.toMatch(/wrong data|truncated|DUP/);
      const ofFragment = family === 4 ? 'ip.flags.mf==1' : 'ipv6.fraghdr.more==1';
      const echo = family === 4 ? ['icmp.type==8', 'icmp.type==0'] : ['icmpv6.type==128', 'icmpv6.type==129'];
      const [requests, replies, bad, fragments] = await world.capture.count(
        ...echo,
        'ip.checksum.status==0 || icmp.checksum.status==0 || icmpv6.checksum.status==0 || _ws.malformed',
        ofFragment,
      );
      expect(requests).toBeGreaterThanOrEqual(10);
      expect(replies).toBe(requests);
      expect(bad).toBe(0);
      if (bytes > (family === 4 ? 1472 : 1452)) expect(fragments).toBeGreaterThanOrEqual(20);
      else expect(fragments).toBe(0);
    });

    test('a flood of a thousand loses nothing', async () => {
      const { stdout } = await world.shell(`ping -4 -n -q -f -c 1000 -w 10 ${world.stackAddress(4)}`);
      expect(stdout).toContain(' 1000 received');
    });

    test('with record-route and timestamp options, and with every traffic class', async () => {
      for (const option of ['-R', '-T tsonly', '-Q 0xb8', '-t 1']) {
        const { stdout } = await world.shell(`ping -4 -n -c 2 -i 0.05 -w 10 ${option} ${world.stackAddress(4)}`);
        expect(stdout, option).toMatch(/ ([2-9]|\d\d+) received/);
      }
    });
  });
}
