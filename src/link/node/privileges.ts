/**
 * What is missing where the system does not let a user have a device, and what to do about it: the words of the errors.
 *
 * Linux lets an ordinary user open a TUN or TAP device that was made for that user, set up beforehand by somebody who may; everything
 * else needs a capability. Sources: capabilities(7), Linux Documentation/networking/tuntap.rst, ip-tuntap(8).
 */

import { DeviceError } from './libc.ts';

/** This user, as `ip tuntap` takes it. */
function user(): string {
  return String(process.getuid?.() ?? 'USER');
}

/** /dev/net/tun cannot be opened. */
export function whyNoTunDriver(code: string): string {
  if (code === 'ENOENT') return 'this system has no TUN driver (modprobe tun; a container must be given the file)';
  if (code !== 'EACCES' && code !== 'EPERM') return 'it cannot be opened';
  return 'this user may not open it: chmod 666 /dev/net/tun, its usual mode, or be root';
}

/** TUNSETIFF was answered EPERM. */
export function whyNoTun(name: string, kind: 'tun' | 'tap', exists: boolean): string {
  if (exists) {
    return `the device belongs to another user: CAP_NET_ADMIN (root) may open it, or whoever it was made for (ip tuntap add dev ${name} mode ${kind} user ${user()})`;
  }
  const shown = name === '' ? 'NAME' : name;
  return `making a device needs CAP_NET_ADMIN (root); without it name one that was made for this user: ip tuntap add dev ${shown} mode ${kind} user ${user()}`;
}

/** An AF_PACKET socket was answered EPERM. */
export const WHY_NO_PACKET = 'AF_PACKET needs CAP_NET_RAW (root, or setcap cap_net_raw+ep on the program)';

/** Carries `setUp` out; the error of one that may not says what else there is. */
export function withSetUpRights(name: string, setUp: () => void): void {
  try {
    setUp();
  } catch (error) {
    if (!(error instanceof DeviceError) || (error.code !== 'EPERM' && error.code !== 'EACCES')) throw error;
    const what = error.message.slice(`${error.syscall} ${error.code}: `.length);
    const instead = `without it leave out addresses, routes, mtu and txQueueLength, and have ${name} set up beforehand (ip link, ip address, ip route)`;
    throw new DeviceError(error.code, error.syscall, `${what}: needs CAP_NET_ADMIN (root); ${instead}`);
  }
}
