// Values to call operators with: some fit the schema, some nearly, some not at all.

/** Numbers in [0, 1) from a seed (splitmix32), with what is drawn from them. */
export function random(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x9e3779b9) | 0;
    let z = state ^ (state >>> 16);
    z = Math.imul(z, 0x21f0aaad);
    z ^= z >>> 15;
    z = Math.imul(z, 0x735a2d97);
    return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32;
  };
  const below = (n) => Math.floor(next() * n);
  return { next, below, of: (list) => list[below(list.length)], chance: (p) => next() < p };
}

const shapes = [
  [],
  [0],
  [1],
  [2],
  [3],
  [4],
  [2, 3],
  [3, 3],
  [1, 4],
  [2, 0],
  [2, 3, 4],
  [1, 2, 4, 4],
  [2, 2, 3, 3],
  [1, 1, 1, 1, 2],
  [2, 2, 2, 2, 2],
];
const dtypes = [
  "float32",
  "float32",
  "float32",
  "float64",
  "int64",
  "int64",
  "int32",
  "uint8",
  "bool",
  "float16",
  "bfloat16",
  "int16",
  "int8",
];
const wild = [-5, 100, -1, 2 ** 31, 2 ** 40, 0, 1];

/** A few tensors for one call: small, of any dtype, some not contiguous, some with absurd contents, one freed. */
export function makePool(draw, engine, ops) {
  const make = () => {
    const dtype = draw.of(dtypes);
    const shape = draw.of(shapes);
    const made = ops.to(ops.mul(engine.rand(shape), 4), { dtype });
    if (draw.chance(0.15) && dtype === "int64") ops.fill_(made, draw.of(wild));
    if (draw.chance(0.05) && dtype.startsWith("float"))
      ops.fill_(made, draw.of([Number.NaN, Number.POSITIVE_INFINITY, -1e4]));
    if (draw.chance(0.1) && shape.length > 1) return ops.transpose(made, 0, shape.length - 1);
    if (draw.chance(0.05) && shape.length > 0) return ops.expand(engine.zeros([1], { dtype }), shape);
    if (draw.chance(0.05) && dtype.startsWith("float") && !draw.chance(0.3)) made.requiresGrad = true;
    return made;
  };
  const tensors = Array.from({ length: 4 }, make);
  // Operators mostly want operands that go together.
  tensors.push(ops.clone(tensors[0]), engine.rand([2, 3]), engine.rand([1, 2, 4, 4]));
  const freed = engine.zeros([1]);
  freed.free();
  return { tensors, freed };
}

const numbers = [
  0,
  1,
  2,
  3,
  -1,
  -2,
  4,
  7,
  0.5,
  1.5,
  -0,
  100,
  -100,
  2 ** 31,
  2 ** 33,
  -(2 ** 31),
  2 ** 53,
  -(2 ** 53),
  2 ** 53 + 2,
  1e308,
  5e-324,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
];
const smallIntegers = [0, 1, 2, 3, -1, 1, 2];
const bigints = [0n, 1n, -1n, 2n ** 62n, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 63n, 2n ** 64n, -(2n ** 70n)];
const strings = [
  "",
  "float32",
  "int64",
  "cpu",
  "cuda",
  "cuda:99",
  "meta",
  "mean",
  "channels_last",
  "ij->ji",
  "\u0000",
  "é".repeat(50),
  "strided",
  "reflect",
  "same",
  "none",
];

function cyclic() {
  const list = [1];
  list.push(list);
  return list;
}

/** Anything at all. */
function garbage(draw, pool, engine) {
  const kinds = [
    () => undefined,
    () => null,
    () => draw.of(numbers),
    () => draw.of(bigints),
    () => draw.of(strings),
    () => draw.chance(0.5),
    () => draw.of(pool.tensors),
    () => pool.freed,
    () => [],
    () => [[[[]]]],
    () => cyclic(),
    () => [draw.of(numbers), draw.of(strings)],
    () => [draw.of(pool.tensors), null, draw.of(numbers)],
    () => Array.from({ length: draw.of([1, 5, 300]) }, () => draw.of(smallIntegers)),
    () => ({}),
    () => ({ [draw.of(["dim", "alpha", "out", "__proto__", "toString"])]: draw.of(numbers) }),
    () => Symbol("fuzz"),
    () => () => 1,
    () => new Date(0),
    () => new Map(),
    () => new Float32Array([1, 2]),
    () => new BigInt64Array([1n, -5n]),
    () => new DataView(new ArrayBuffer(8)),
    () => Object.create(engine.Tensor.prototype),
    () => new Proxy([], {}),
  ];
  return draw.of(kinds)();
}

/** A value of the schema's type, sensible more often than not. */
function typed(argument, draw, pool, engine) {
  let { type } = argument;
  if (type.endsWith("?")) {
    if (draw.chance(0.3)) return null;
    type = type.slice(0, -1);
  }
  if (type.endsWith("[]")) {
    const length = argument.length ?? draw.of([0, 1, 2, 2, 3, 4, 6]);
    const element = { type: type.slice(0, -2) };
    return Array.from({ length: draw.chance(0.1) ? draw.below(6) : length }, () =>
      typed(element, draw, pool, engine),
    );
  }
  switch (type) {
    case "Tensor":
      return draw.of(pool.tensors);
    case "int":
    case "SymInt":
      return draw.chance(0.8)
        ? draw.of(smallIntegers)
        : draw.of([
            5,
            7,
            100,
            -3,
            2 ** 31,
            2 ** 33,
            2 ** 40,
            2 ** 53 - 1,
            -(2 ** 53 - 1),
            2n ** 62n,
            2n ** 63n - 1n,
            -(2n ** 63n),
          ]);
    case "float":
    case "Scalar":
      return draw.chance(0.7) ? draw.of([0, 1, 2, 0.5, -1, 3]) : draw.of(numbers);
    case "bool":
      return draw.chance(0.5);
    case "str":
      return draw.of(strings);
    case "ScalarType":
      return draw.of(dtypes);
    case "Device":
      return draw.of(["cpu", "cpu", "cpu", "meta", "cuda"]);
    case "Layout":
      return draw.of(["strided", "strided", "sparse_coo", "sparse_csr"]);
    case "MemoryFormat":
      return draw.of(["contiguous", "preserve", "channels_last", "channels_last_3d"]);
    case "Generator":
      return new engine.Generator(1);
    default:
      return garbage(draw, pool, engine);
  }
}

/** Arguments for one call: with chance all of the right types, else with one or more spoilt, too many or misnamed. */
export function makeArguments(schema, draw, pool, engine) {
  const spoil = draw.chance(0.6) ? 0 : draw.of([0.2, 0.5, 1]);
  const all = schema.arguments;
  const value = (argument) =>
    draw.chance(spoil) ? garbage(draw, pool, engine) : typed(argument, draw, pool, engine);
  const values = [];
  const named = {};
  for (const argument of all) {
    if (argument.hasDefault && draw.chance(0.4)) break;
    if (argument.kwargOnly) named[argument.name] = value(argument);
    else values.push(value(argument));
  }
  if (spoil > 0 && draw.chance(0.15)) values.length = draw.below(values.length + 1);
  if (spoil > 0 && draw.chance(0.1))
    values.push(...Array.from({ length: draw.of([1, 3, 20]) }, () => garbage(draw, pool, engine)));
  if (spoil > 0 && draw.chance(0.1))
    named[draw.of(["nonsense", "self", "__proto__", "dim"])] = garbage(draw, pool, engine);
  return Object.keys(named).length > 0 || draw.chance(0.05) ? [...values, named] : values;
}
