/**
 * Suites that need more than Node: root, a device, a program, an optional package.
 *
 * `describeIf(requires.tun, 'over a TUN device', () => …)` runs the suite where the machine can, and reports it as skipped,
 * by name and reason, where it cannot. With CI=true nothing is skipped in silence: the suite fails and says what is missing.
 * `npm run check` leaves the privileged ones out on purpose (CHIMNEY_UNPRIVILEGED), which is never a failure.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, join } from 'node:path';
import { describe, test } from 'vitest';

export interface Requirement {
  /** What is needed, for the report: 'root', 'the program tshark'. */
  readonly needs: string;
  /** Whether it takes rights or devices which an ordinary user lacks. */
  readonly isPrivileged: boolean;
  readonly isMet: () => boolean;
}

const once = (answer: () => boolean): (() => boolean) => {
  let known: boolean | undefined;
  return () => {
    known ??= answer();
    return known;
  };
};

const isRoot = once(() => process.getuid?.() === 0);

/** Whether the kernel lets us make and remove a network namespace: root in a container may still not be allowed to. */
const canMakeNamespace = once(() => {
  if (!isRoot() || !isProgram('ip')) return false;
  const name = `chimney-probe-${process.pid}`;
  if (spawnSync('ip', ['netns', 'add', name]).status !== 0) return false;
  return spawnSync('ip', ['netns', 'delete', name]).status === 0;
});

function isProgram(name: string): boolean {
  return programPath(name) !== null;
}

function programPath(name: string): string | null {
  // Debian keeps the tools of the administrator where an ordinary user's PATH does not look.
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  for (const folder of folders) {
    if (folder === '') continue;
    try {
      const path = join(folder, name);
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // It is not in this one.
    }
  }
  return null;
}

function isPackage(name: string): boolean {
  try {
    createRequire(import.meta.url)(name);
    return true;
  } catch {
    return false;
  }
}

/** Names under which distributions have the browser that the tests drive. */
const BROWSERS = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'microsoft-edge'];

/** Where that browser is; null: it is not there. */
export function browserPath(): string | null {
  for (const name of BROWSERS) {
    const path = programPath(name);
    if (path !== null) return path;
  }
  return null;
}

export const requires: {
  readonly root: Requirement;
  readonly tun: Requirement;
  readonly netns: Requirement;
  readonly linux: Requirement;
  readonly browser: Requirement;
  readonly program: (name: string) => Requirement;
  readonly package: (name: string) => Requirement;
} = {
  root: { needs: 'root', isPrivileged: true, isMet: isRoot },
  /** Root, /dev/net/tun and koffi: what opening a TUN or TAP device takes. */
  tun: {
    needs: 'root, /dev/net/tun and koffi',
    isPrivileged: true,
    isMet: () => isRoot() && existsSync('/dev/net/tun') && isPackage('koffi'),
  },
  netns: { needs: 'network namespaces', isPrivileged: true, isMet: canMakeNamespace },
  linux: { needs: 'Linux', isPrivileged: false, isMet: () => process.platform === 'linux' },
  /** A browser of the Chromium family, as {@link browserPath} finds it. */
  browser: { needs: 'the program chromium', isPrivileged: false, isMet: () => browserPath() !== null },
  /** A program of the machine: tshark, curl, iperf3. */
  program: (name) => ({ needs: `the program ${name}`, isPrivileged: false, isMet: () => isProgram(name) }),
  /** An optional package of npm: koffi. */
  package: (name) => ({ needs: `the package ${name}`, isPrivileged: false, isMet: () => isPackage(name) }),
};

export interface Verdict {
  readonly does: 'run' | 'skip' | 'fail';
  readonly reason: string;
}

/** What becomes of a suite with these needs in this environment. */
export function verdict(
  needs: Requirement | readonly Requirement[],
  env: Readonly<Record<string, string | undefined>> = process.env,
): Verdict {
  const all: readonly Requirement[] = 'needs' in needs ? [needs] : needs;
  if (env['CHIMNEY_UNPRIVILEGED'] === '1' && all.some((one) => one.isPrivileged)) {
    return { does: 'skip', reason: 'privileged; run npm test' };
  }
  const missing = all.filter((one) => !one.isMet()).map((one) => one.needs);
  if (missing.length === 0) return { does: 'run', reason: '' };
  const isCi = env['CI'] === 'true' || env['CI'] === '1';
  return { does: isCi ? 'fail' : 'skip', reason: `needs ${missing.join(' and ')}` };
}

/** `describe`, where what it needs is there. */
export function describeIf(needs: Requirement | readonly Requirement[], name: string, suite: () => void): void {
  const { does, reason } = verdict(needs);
  if (does === 'run') describe(name, suite);
  else if (does === 'skip') describe.skip(`${name} (skipped: ${reason})`, suite);
  else describe(name, () => test(reason, () => Promise.reject(new Error(`${name}: ${reason}, and CI skips nothing`))));
}

/** `test`, where what it needs is there. */
export function testIf(
  needs: Requirement | readonly Requirement[],
  name: string,
  body: () => void | Promise<void>,
  timeoutMs?: number,
): void {
  const { does, reason } = verdict(needs);
  if (does === 'run') test(name, body, timeoutMs);
  else if (does === 'skip') test.skip(`${name} (skipped: ${reason})`, body);
  else test(name, () => Promise.reject(new Error(`${name}: ${reason}, and CI skips nothing`)));
}
