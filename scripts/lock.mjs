/**
 * Completes package-lock.json with the packages of other platforms: `npm run lock`, after every `npm install`.
 *
 * A registry mirror may carry only the packages of its own platform. npm then leaves the others out of the lock file, and
 * `npm ci` refuses it everywhere. Their versions are no guess: whoever needs them names them exactly. What cannot be known
 * here is their checksum, so those entries have none. With `--check` nothing is written, and the exit code is 1 where the
 * file is incomplete or names the address of a registry.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const SYSTEMS = /(?:^|[-/])(aix|android|darwin|freebsd|linux|netbsd|openbsd|openharmony|sunos|win32)(?=-|$)/;
const PROCESSORS = /-(arm64|arm|ia32|loong64|mips64el|ppc64|riscv64|s390x|x64|wasm32)(?=-|$)/;

/**
 * @param {Record<string, any>} packages - the `packages` of a lock file
 * @returns {Record<string, any>} the entries which it lacks
 */
export function missingEntries(packages) {
  const missing = {};
  for (const [path, entry] of Object.entries(packages)) {
    for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
      const key = `node_modules/${name}`;
      if (packages[`${path}/${key}`] || packages[key] || path === '') continue;
      const os = SYSTEMS.exec(name)?.[1];
      const cpu = PROCESSORS.exec(name)?.[1];
      // Only what is for one platform, in one exact version, may be written down unseen.
      if (!os || !cpu || !/^\d+\.\d+\.\d+/.test(version))
        throw new Error(`${name}@${version} is missing and not known`);
      const libc = /-(?:musl|musleabihf)$/.test(name) ? 'musl' : /-gnu(?:eabihf)?$/.test(name) ? 'glibc' : undefined;
      missing[key] = {
        version,
        cpu: [cpu],
        ...(entry.dev ? { dev: true } : {}),
        ...(libc ? { libc: [libc] } : {}),
        optional: true,
        os: [os],
      };
    }
  }
  return missing;
}

/** @param {Record<string, any>} packages */
export function withEntries(packages, more) {
  const all = { ...packages, ...more };
  return Object.fromEntries(
    Object.keys(all)
      .sort((a, b) => a.localeCompare(b, 'en'))
      .map((key) => [key, all[key]]),
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const path = fileURLToPath(new URL('../package-lock.json', import.meta.url));
  const lock = JSON.parse(readFileSync(path, 'utf8'));
  const missing = missingEntries(lock.packages);
  const addresses = Object.entries(lock.packages).filter(([, entry]) => 'resolved' in entry);
  if (process.argv.includes('--check')) {
    for (const name of Object.keys(missing)) console.error(`package-lock.json lacks ${name}: npm run lock`);
    for (const [name] of addresses) console.error(`package-lock.json names where ${name} came from: npm run lock`);
    if (Object.keys(missing).length + addresses.length > 0) process.exitCode = 1;
  } else {
    for (const [, entry] of addresses) delete entry.resolved;
    lock.packages = withEntries(lock.packages, missing);
    writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`);
    console.log(
      `package-lock.json: ${Object.keys(missing).length} entries added, ${addresses.length} addresses removed`,
    );
  }
}
