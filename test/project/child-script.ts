/** What the tests of `support/child.ts` run: prints noise, then its answer; or fails; or hangs. */
const args = process.argv.slice(2);
console.log('noise before the answer');
if (args[0] === 'fail') {
  console.error('sorry');
  process.exit(3);
} else if (args[0] === 'hang') {
  setInterval(() => {}, 1000);
} else {
  console.log(JSON.stringify({ canCollect: typeof globalThis.gc === 'function', args }));
}
