/** How the tests run: two workers at most, sources as they stand, `chimney` meaning this tree rather than dist/. */
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** Tests that measure, or that share a device or a namespace of the machine: one at a time, after all others. */
const ALONE = ['test/alloc/**/*.test.ts', 'test/system/**/*.test.ts'];

export default defineConfig({
  resolve: {
    alias: [
      { find: /^chimney\/node$/, replacement: here('./src/link/node/index.ts') },
      { find: /^chimney\/browser$/, replacement: here('./src/link/browser/index.ts') },
      { find: /^chimney\/worker$/, replacement: here('./src/target/worker/index.ts') },
      { find: /^chimney\/contract$/, replacement: here('./src/contract/index.ts') },
      { find: /^chimney\/faulty$/, replacement: here('./src/faulty.ts') },
      { find: /^chimney$/, replacement: here('./src/index.ts') },
    ],
  },
  test: {
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    expect: { poll: { timeout: 20_000 } },
    hookTimeout: 20_000,
    setupFiles: ['./test/support/setup.ts'],
    projects: [
      {
        extends: true,
        test: { name: 'unit', include: ['test/**/*.test.ts'], exclude: ALONE, sequence: { groupOrder: 0 } },
      },
      {
        extends: true,
        test: { name: 'alone', include: ALONE, maxWorkers: 1, fileParallelism: false, sequence: { groupOrder: 1 } },
      },
    ],
  },
});
