/**
 * An offer that goes with borrowed bytes: whoever is shown them may keep the whole memory in which they lie, instead of copying them.
 *
 * Promises nothing by itself: who makes the offer looks at it afterwards, and if it was taken never touches that memory again. It is good
 * for the length of the call that it comes with, and for the bytes of that call alone.
 */

export class MemoryOffer {
  /** The memory is the receiver's now. */
  isTaken = false;
}
