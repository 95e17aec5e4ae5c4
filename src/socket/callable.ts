/**
 * Classes that may be called without `new`, as node:net's may: `net.Socket()`, `net.Server(listener)`.
 */

// biome-ignore lint/suspicious/noExplicitAny: any class
type AnyClass = new (...args: any[]) => object;

/** A class that also answers a call. */
export type Callable<C extends AnyClass> = C & ((...args: ConstructorParameters<C>) => InstanceType<C>);

/**
 * The same class under `name`, callable. It is the constructor of its instances.
 *
 * A proxy, because an ordinary function that constructs would make an object of its own first, and the engine would then give every
 * instance a hidden class of its own: making a socket took 23 µs instead of 1, and using one was slow ever after (measured).
 */
export function callable<C extends AnyClass>(name: string, given: C): Callable<C> {
  const made: C = new Proxy(given, {
    apply(target, self: unknown, args: unknown[]) {
      if (self instanceof target) {
        throw new TypeError(`${name} is a class: use 'class … extends ${name}', not ${name}.call(this)`);
      }
      return new target(...args);
    },
    // The class itself as its own new target, for the same reason.
    construct: (target, args, newTarget) =>
      newTarget === made ? new target(...args) : (Reflect.construct(target, args, newTarget) as object),
  });
  Object.defineProperty(given, 'name', { value: name, configurable: true });
  Object.defineProperty(given.prototype, 'constructor', { value: made, configurable: true, writable: true });
  return made as Callable<C>;
}
