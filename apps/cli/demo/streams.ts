/**
 * The streams of a demonstration: what is sent, by whom, and what came of it.
 */
import { createHash } from 'node:crypto';
import { pseudoRandom, type RealFile } from './content.ts';
import { StreamCheck } from './stream-check.ts';

/** One body of HTTP, from one end to the other. */
export class Stream {
  readonly id: number;
  /** A download is sent by the server, an upload by the client. */
  readonly kind: 'download' | 'upload';
  readonly name: string;
  readonly content: Buffer;
  /** The file it is read from when it is sent; null for pseudo-random content. */
  readonly file: RealFile | null;
  readonly #check: StreamCheck;
  /** SHA-256 of what was handed to the connection, and of what came out of it; '' until the end was seen. */
  sentHash = '';
  receivedHash = '';
  /** Why it did not end as it should; null: it did, or has not yet. */
  error: string | null = null;

  constructor(id: number, kind: Stream['kind'], name: string, content: Buffer, file: RealFile | null) {
    this.id = id;
    this.kind = kind;
    this.name = name;
    this.content = content;
    this.file = file;
    this.#check = new StreamCheck(content);
  }

  get bytesReceived(): number {
    return this.#check.bytesReceived;
  }

  get bytesLost(): number {
    return this.#check.bytesLost;
  }

  get bytesRepeated(): number {
    return this.#check.bytesRepeated;
  }

  get isDone(): boolean {
    return this.sentHash !== '' && this.receivedHash !== '';
  }

  get areHashesEqual(): boolean {
    return this.isDone && this.sentHash === this.receivedHash;
  }

  /** The sending end: passes `chunks` on and hashes them on the way. */
  async *sending(chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    const hash = createHash('sha256');
    for await (const chunk of chunks) {
      hash.update(chunk);
      yield chunk;
    }
    this.sentHash = hash.digest('hex');
  }

  /** The receiving end: some bytes have come. */
  received(chunk: Uint8Array): void {
    this.#check.add(chunk);
  }

  /** The receiving end: it is over, with or without an error. What has not come by now is lost. */
  end(error: unknown = null): void {
    const hash = this.#check.finish();
    if (error === null) this.receivedHash = hash;
    else this.error ??= error instanceof Error ? error.message : String(error);
  }
}

/** Makes and keeps the streams of one demonstration. */
export class Streams {
  readonly all: Stream[] = [];
  readonly #seed: number;

  constructor(seed: number) {
    this.#seed = seed;
  }

  ofFile(file: RealFile): Stream {
    return this.#keep('download', file.name, file.bytes, file);
  }

  ofRandom(kind: Stream['kind'], length: number): Stream {
    const name = `random-${this.all.length + 1}`;
    return this.#keep(kind, name, pseudoRandom(this.#seed, name, length), null);
  }

  byId(id: number): Stream | null {
    return this.all[id - 1] ?? null;
  }

  /** Bytes that all streams together have, and bytes that have arrived. */
  get bytes(): number {
    return this.all.reduce((sum, stream) => sum + stream.content.length, 0);
  }

  get bytesReceived(): number {
    return this.all.reduce((sum, stream) => sum + stream.bytesReceived, 0);
  }

  get done(): number {
    return this.all.filter((stream) => stream.isDone).length;
  }

  #keep(kind: Stream['kind'], name: string, content: Buffer, file: RealFile | null): Stream {
    const stream = new Stream(this.all.length + 1, kind, name, content, file);
    this.all.push(stream);
    return stream;
  }
}
