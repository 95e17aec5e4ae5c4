/** The timer of `socket.setTimeout`: runs while nothing happens, begins anew whenever something does, holds no process. */

/** One a socket; a platform timer only while a timeout is set. */
export class IdleTimer {
  #timer: NodeJS.Timeout | null = null;

  /** Begins; `ms` 0: ends. */
  set(ms: number, onIdle: () => void): void {
    this.clear();
    if (ms > 0) this.#timer = setTimeout(onIdle, ms).unref();
  }

  /** Something happened. */
  refresh(): void {
    this.#timer?.refresh();
  }

  clear(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}
