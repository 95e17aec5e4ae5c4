/** A process that arms a timer far ahead and says, on its way out, how it ended. First argument: 'held' or 'free'. */
import { SystemRuntime } from '../../src/runtime.ts';

const runtime = new SystemRuntime();
const isHeld = process.argv[2] === 'held';
let hasFired = false;
const timer = runtime.timer(() => {
  hasFired = true;
  runtime.unref();
});
timer.arm(runtime.nowUs() + (isHeld ? 300_000 : 60_000_000));
if (isHeld) runtime.ref();
process.on('exit', () => console.log(JSON.stringify({ hasFired })));
