/** The example page as a visitor has it: two hosts, figures, buttons, and a result. */
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { compiled } from '../../support/child.ts';
import { describeIf, requires } from '../../support/requires.ts';
import { BROWSER_TEST_MS, OpenBrowser, type OpenPage } from './open-page.ts';

vi.setConfig({ testTimeout: BROWSER_TEST_MS, hookTimeout: BROWSER_TEST_MS });

const PAGE = '/examples/browser/';

/** The table of figures: what stands first in a row, then the cells of page and worker. */
function figures(opened: OpenPage): Promise<Record<string, string[]>> {
  return opened.run(`return Object.fromEntries([...document.querySelectorAll('#figures tr')].map((row) => {
    const [name, ...cells] = [...row.children].map((cell) => cell.textContent);
    return [name, cells];
  }));`);
}

describeIf(requires.browser, 'examples/browser', () => {
  let browser: OpenBrowser;

  beforeAll(async () => {
    compiled('examples/browser/main.ts');
    browser = await OpenBrowser.open();
  });
  afterAll(() => browser?.close());

  test('transfers, moves both ends, and tells what came of it', async () => {
    const opened = await browser.page(`${PAGE}?size=4&loss=0.005&delay=1&move=20&verify=1&go`);
    await opened.page.waitForSelector('body[data-state="done"], body[data-state="failed"]');
    const said = await opened.page.textContent('#outcome');
    expect(said).toMatch(/^4 MB in \d+\.\d s, \d+ Mbit\/s, SHA-256 equal, 0 rules broken$/);
    const table = await figures(opened);
    expect(table['MB sent, delivered']).toEqual(['4.0', '4.0']);
    for (const name of ['moves', 'packets of the host stack', 'packets of the target']) {
      for (const cell of table[name]!) expect(Number(cell.replaceAll(',', '')), name).toBeGreaterThan(0);
    }
    expect(Number(table['frames lost on the wire']![0])).toBeGreaterThan(0);
    const operations = await opened.page.textContent('#operations');
    expect(operations).toMatch(/NdisInitiateOffload|NdisTerminateOffload/);
    expect(await opened.page.getAttribute('#capture', 'href')).toMatch(/^blob:/);
    expect(opened.faults).toEqual([]);
    await opened.page.close();
  });

  test('a click moves the end to which its button belongs, there and back, and nothing else does', async () => {
    const opened = await browser.page(`${PAGE}?size=128&loss=0&delay=50&move=0`);
    const { page } = opened;
    const at = (end: string, place: string): string => `#${end} [data-place="${place}"].here`;
    await page.click('#start');
    await page.waitForSelector(at('sender', 'host'));
    await page.click('[data-move="receiver"]');
    await page.waitForSelector(`${at('receiver', 'target')}`);
    expect(await page.locator(at('sender', 'host')).count()).toBe(1);
    await page.click('[data-move="sender"]');
    await page.waitForSelector(at('sender', 'target'));
    await page.click('[data-move="sender"]');
    await page.waitForSelector(at('sender', 'host'));
    expect((await figures(opened))['moves']).toEqual(['2', '1']);
    expect(opened.faults).toEqual([]);
    await page.close();
  });
});
