/** Runs before each test file: one seed for the properties of fast-check, told when a test fails. */
import fc from 'fast-check';
import { afterEach } from 'vitest';
import { seed, seedNote } from './seed.ts';
// Sources are not loaded by require: stacks find their verifiers loaded.
import '../../src/contract/index.ts';

fc.configureGlobal({ ...fc.readConfigureGlobal(), seed });

afterEach((context) => {
  if (context.task.result?.state === 'fail') console.error(`${context.task.name}: ${seedNote}`);
});
