/**
 * A token bucket: so many a second, and a burst. RFC 4443 2.4 (f) bounds ICMP errors by one.
 */

export class TokenBucket {
  readonly #perSecond: number;
  readonly #burst: number;
  #tokens: number;
  #filledUs = 0;

  /** `perSecond` tokens come in; at most `burst` are kept. */
  constructor(perSecond: number, burst: number) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#tokens = burst;
  }

  /** Takes a token if there is one. */
  take(nowUs: number): boolean {
    const gained = ((nowUs - this.#filledUs) * this.#perSecond) / 1_000_000;
    this.#filledUs = nowUs;
    this.#tokens = Math.min(this.#burst, this.#tokens + gained);
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}
