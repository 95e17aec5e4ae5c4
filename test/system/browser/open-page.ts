/**
 * A real browser with an empty page in it, which has the compiled repository before it as a server of files would show it.
 *
 * Whatever goes wrong in the page, an error that nobody caught or a file that is not there, is kept and told.
 */
import { type Browser, chromium, type Page } from 'playwright-core';
import { repositoryRoot } from '../../../scripts/files.ts';
import { type Served, serve } from '../../../scripts/serve.mjs';
import { browserPath } from '../../support/requires.ts';

/** A browser on a busy machine takes its time; how long a test may take is for the test to say. */
export const BROWSER_TEST_MS = 150_000;

export class OpenBrowser {
  readonly url: string;
  readonly #browser: Browser;
  readonly #served: Served;

  private constructor(browser: Browser, served: Served) {
    this.#browser = browser;
    this.#served = served;
    this.url = served.url;
  }

  /** Starts the browser; throws where there is none. */
  static async open(): Promise<OpenBrowser> {
    const served = await serve(repositoryRoot());
    try {
      return new OpenBrowser(await chromium.launch({ executablePath: browserPath() ?? 'chromium' }), served);
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
    const page = await this.#browser.newPage();
    const opened = new OpenPage(page);
    await page.goto(`${this.url}${path}`);
    return opened;
  }

  async close(): Promise<void> {
    await this.#browser.close();
    await this.#served.close();
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
