/**
 * `npm run bench -- --setup`: installs the peers from Debian and builds our drivers of them. Debian and root; what fails is said and does not
 * stop the rest, as a peer that is missing is named in the report.
 */
import { buildGvisor } from './gvisor/subjects.ts';
import { kernelMissing } from './kernel/subjects.ts';
import { buildLwipDebian, buildLwipLarge } from './lwip/subjects.ts';
import { run, which } from './shell.ts';

/** Debian's names. */
const PACKAGES = [
  'dpkg-dev',
  'gcc',
  'golang-go',
  'golang-gvisor-gvisor-dev',
  'iproute2',
  'libc6-dev',
  'liblwip-dev',
  'passt',
  'slirp4netns',
  'wrk',
];

/** What is built, in this order. */
const STEPS: readonly { readonly name: string; readonly build: () => void }[] = [
  {
    name: "the kernel's end",
    build: () => {
      const why = kernelMissing();
      if (why !== null) throw new Error(why);
    },
  },
  { name: "lwIP, Debian's library", build: buildLwipDebian },
  { name: 'lwIP, large windows', build: buildLwipLarge },
  { name: "gVisor's netstack", build: buildGvisor },
];

export function setUpPeers(): void {
  if (which('apt-get') === null) console.log('no apt-get here: install these by hand:', PACKAGES.join(' '));
  else {
    console.log('installing', PACKAGES.join(' '));
    const options = ['-o', 'DPkg::Lock::Timeout=300', '-qq'];
    step('apt-get update', () => run('apt-get', ...options, 'update'));
    step('apt-get install', () => run('apt-get', ...options, 'install', '-y', '--no-install-recommends', ...PACKAGES));
  }
  for (const { name, build } of STEPS) step(name, build);
}

function step(name: string, work: () => void): void {
  try {
    work();
    console.log(`  ${name}: done`);
  } catch (error) {
    console.log(`  ${name}: ${(error as Error).message}`);
  }
}
