/**
 * Classes that may be called without `new`, as node:net's may: `net.Socket()`, `net.Server(listener)`.
 */

// biome-ignore lint/suspicious/noExplicitAny: any class
type AnyClass = new (...args: any[]) => object;

/** A class that also answers a call. */
export type Callable<C extends AnyClass> = C & ((...args: ConstructorParameters<C>) => InstanceType<C>);

/** The same class under `name`, callable. It is the constructor of its instances. */
export function callable<C extends AnyClass>(name: string, given: C): Callable<C> {
  const made = function (this: unknown, ...args: unknown[]): object {
    if (new.target === undefined && this instanceof made) {
      throw new TypeError(`${name} is a class: use 'class … extends ${name}', not ${name}.call(this)`);
    }
    return Reflect.construct(given, args, new.target ?? made) as object;
  };
  Object.defineProperty(made, 'name', { value: name, configurable: true });
  Object.defineProperty(made, 'prototype', { value: given.prototype });
  Object.setPrototypeOf(made, given);
  Object.defineProperty(given.prototype, 'constructor', { value: made, configurable: true, writable: true });
  return made as unknown as Callable<C>;
}
