// Makes the realm one that no row can change for the next: what is not ECMA-262 goes, text never becomes
// code, and everything that can be reached is frozen. Gives String.prototype.toWellFormed.
(random) => {
  "use strict";
  const { defineProperty, freeze, getOwnPropertyDescriptor, getPrototypeOf, setPrototypeOf } = Object;
  const { ownKeys } = Reflect;
  const { toWellFormed } = String.prototype;

  const language = new Set(
    ("AggregateError Array ArrayBuffer Atomics BigInt BigInt64Array BigUint64Array Boolean DataView Date Error EvalError " +
      "FinalizationRegistry Float16Array Float32Array Float64Array Function Infinity Int16Array Int32Array Int8Array " +
      "Iterator JSON Map Math NaN Number Object Promise Proxy RangeError ReferenceError Reflect RegExp Set " +
      "SharedArrayBuffer String Symbol SyntaxError TypeError URIError Uint16Array Uint32Array Uint8Array " +
      "Uint8ClampedArray WeakMap WeakRef WeakSet decodeURI decodeURIComponent encodeURI encodeURIComponent escape eval " +
      "globalThis isFinite isNaN parseFloat parseInt undefined unescape").split(" "),
  );
  for (const key of ownKeys(globalThis)) {
    if (typeof key === "string" && !language.has(key)) delete globalThis[key];
  }

  // As a content security policy does (HostEnsureCanCompileStrings).
  const refuse = () => {
    throw new EvalError("a text cannot become code here");
  };
  let parent = Function.prototype;
  for (const sample of [function () {}, function* () {}, async function () {}, async function* () {}]) {
    const prototype = getPrototypeOf(sample);
    const { name } = prototype.constructor;
    const replacement = { [name]: function (_code) { return refuse(); } }[name];
    defineProperty(replacement, "prototype", { value: prototype, writable: false });
    setPrototypeOf(replacement, parent);
    defineProperty(prototype, "constructor", { value: replacement });
    if (parent === Function.prototype) {
      globalThis.Function = replacement;
      parent = replacement;
    }
  }
  globalThis.eval = { eval: (code) => (typeof code === "string" ? refuse() : code) }.eval;

  // State behind accessors, which freezing would not reach.
  delete Error.stackTraceLimit;
  delete Error.prepareStackTrace;
  Math.random = random;

  // A frozen property of a prototype would keep objects that inherit it from having one of their own by
  // assignment. Where people do that, an accessor lets them.
  const allowOverride = (owner, keys) => {
    for (const key of keys) {
      const descriptor = getOwnPropertyDescriptor(owner, key);
      if (descriptor === undefined || !("value" in descriptor) || !descriptor.configurable) continue;
      const { value } = descriptor;
      defineProperty(owner, key, {
        get: { get() { return value; } }.get,
        set: {
          set(own) {
            if (this === owner) throw new TypeError("a built-in object cannot be changed");
            defineProperty(this, key, { value: own, writable: true, enumerable: true, configurable: true });
          },
        }.set,
        enumerable: descriptor.enumerable,
        configurable: false,
      });
    }
  };
  const usual = ["constructor", "toString", "toLocaleString", "valueOf", "toJSON", "name", "message"];
  allowOverride(Object.prototype, ownKeys(Object.prototype));
  for (const constructor of [
    AggregateError, Array, BigInt, Boolean, Date, Error, EvalError, Function, Map, Number, Promise, RangeError,
    ReferenceError, RegExp, Set, String, SyntaxError, TypeError, URIError,
  ]) {
    allowOverride(constructor.prototype, usual);
  }

  const seen = new Set();
  const waiting = [];
  const reach = (value) => {
    if ((typeof value === "object" && value !== null) || typeof value === "function") {
      if (!seen.has(value)) {
        seen.add(value);
        waiting.push(value);
      }
    }
  };
  // What no property of the global object leads to.
  const hidden = [
    () => function () {}, () => function* () {}, () => async function () {}, () => async function* () {},
    () => (function* () {})(), () => (async function* () {})(), () => [][Symbol.iterator](), () => ""[Symbol.iterator](),
    () => new Map()[Symbol.iterator](), () => new Set()[Symbol.iterator](), () => "".matchAll(/x/g),
    () => [].values().map((x) => x), () => Iterator.from({ next() {} }), () => Iterator.concat([]),
    () => Iterator.zip([]), () => Iterator.zipKeyed({}), () => new Int8Array(),
    () => getOwnPropertyDescriptor((function () { return arguments; })(), "callee").get,
  ];
  reach(globalThis);
  reach(toWellFormed);
  for (const sample of hidden) {
    try {
      const value = sample();
      reach(typeof value === "function" && value.prototype === undefined ? value : getPrototypeOf(value));
    } catch {
      // The engine has no such thing.
    }
  }
  while (waiting.length > 0) {
    const value = waiting.pop();
    freeze(value);
    reach(getPrototypeOf(value));
    for (const key of ownKeys(value)) {
      const descriptor = getOwnPropertyDescriptor(value, key);
      reach(descriptor.value);
      reach(descriptor.get);
      reach(descriptor.set);
    }
  }
  return toWellFormed;
};
