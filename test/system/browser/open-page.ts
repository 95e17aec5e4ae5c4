/**
 * A real browser with an empty page in it, which has the compiled repository before it as a server of files would show it.
 *
 * The browser itself asks nobody: each file that it wants is fetched for it. It gives up whatever it is loading when an address
 * of the machine changes (ERR_NETWORK_CHANGED), and tests beside this one make and remove devices.
 *
 * Whatever goes wrong in the page, an error that nobody caught or a file that is not there, is kept and told.
 */
import { type Browser, type BrowserContext, chromium, type Page, type Route } from 'playwright-core';
import { repositoryRoot } from '../../../scripts/files.ts';
import { type Served, serve } from '../../../scripts/serve.mjs';
import { browserPath } from '../../support/requires.ts';

/** A browser on a busy machine takes its time; how long a test may take is for the test to say. */
export const BROWSER_TEST_MS = 150_000;

export class OpenBrowser {
  readonly url: string;
  readonly #browser: Browser;
  readonly #context: BrowserContext;
  readonly #served: Served;

  private constructor(browser: Browser, context: BrowserContext, served: Served) {
    this.#browser = browser;
    this.#context = context;
    this.#served = served;
    this.url = served.url;
  }

  /** Starts the browser; throws where there is none. */
  static async open(): Promise<OpenBrowser> {
    const served = await serve(repositoryRoot());
    try {
      const browser = await chromium.launch({ executablePath: browserPath() ?? 'chromium' });
      const context = await browser.newContext();
      // Of a page that was not loaded from this machine's address a browser asks whether it may speak to the machine;
      // an older one does not know the question.
      await context.grantPermissions(['local-network-access']).catch(() => {});
      await context.route(`${served.url}/**`, fetchFor);
      return new OpenBrowser(browser, context, served);
    } catch (error) {
      await served.close();
      throw error;
    }
  }

  get version(): string {
    return this.#browser.version();
  }

  /** Opens a page of the repository, by its path from the root. */
  async page(path = '/test/system/browser/empty.html'): Promise<OpenPage> {
    const page = await this.#context.newPage();
    const opened = new OpenPage(page);
    await page.goto(`${this.url}${path}`);
    return opened;
  }

  async close(): Promise<void> {
    await this.#browser.close();
    await this.#served.close();
  }
}

async function fetchFor(route: Route): Promise<void> {
  try {
    const response = await fetch(route.request().url());
    const headers = { 'content-type': response.headers.get('content-type') ?? '' };
    await route.fulfill({ status: response.status, headers, body: Buffer.from(await response.arrayBuffer()) });
  } catch {
    // The page was closed meanwhile; where it was not, the file is missed and that is told.
    await route.abort().catch(() => {});
  }
}

export class OpenPage {
  readonly page: Page;
  /** What went wrong in the page without anybody asking. */
  readonly faults: string[] = [];

  constructor(page: Page) {
    this.page = page;
    page.setDefaultTimeout(BROWSER_TEST_MS - 20_000);
    page.on('pageerror', (error) => this.faults.push(String(error)));
    page.on('requestfailed', (request) => this.faults.push(`${request.failure()?.errorText} ${request.url()}`));
    page.on('crash', () => this.faults.push('the page crashed'));
    page.on('response', (response) => {
      if (!response.ok()) this.faults.push(`${response.status()} ${response.url()}`);
    });
  }

  /**
   * Runs `body`, the text of an async function's body, in the page, with `given` as the variable of that name. Text, because what is
   * compiled for the tests is not what a page can load.
   */
  async run<T>(body: string, given: unknown = null): Promise<T> {
    const text = `(async (given) => {\n${body}\n})(${JSON.stringify(given)})`;
    try {
      return (await this.page.evaluate(text)) as T;
    } catch (error) {
      throw new Error([error, ...this.faults].map(String).join('\n'));
    }
  }
}
