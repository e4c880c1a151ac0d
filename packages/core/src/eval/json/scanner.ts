import { divideExactly, powers } from "./decimal.js";

/** Fills `into` from its start with the next bytes of a file; how many came, 0 at the end. */
export type ByteSource = (into: Uint8Array) => number;

/** Not JSON: what was expected, what came, and where. */
export class JsonError extends SyntaxError {
  override readonly name = "JsonError";
  constructor(
    readonly fault: string,
    /** Place in the file, in bytes. */
    readonly offset: number,
  ) {
    super(`${fault} at byte ${offset}`);
  }
}

/** Thrown where a value goes on beyond the bytes at hand; the reader then fetches more and starts the value again. */
const needMore = Symbol("more bytes");

const code = (text: string): number => text.charCodeAt(0);
const [quote, backslash, minus, plus, dot, zero, comma, colon] = [...'"\\-+.0,:'].map(code) as [
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
];
const [openList, closeList, openObject, closeObject] = [..."[]{}"].map(code) as [
  number,
  number,
  number,
  number,
];
const words: readonly (readonly [string, unknown])[] = [
  ["true", true],
  ["false", false],
  ["null", null],
  // Python writes these, though they are not JSON; whoever asked for a number then says so.
  ["NaN", Number.NaN],
  ["Infinity", Number.POSITIVE_INFINITY],
  ["-Infinity", Number.NEGATIVE_INFINITY],
];
const escapes: Readonly<Record<string, string>> = { b: "\b", f: "\f", n: "\n", r: "\r", t: "\t" };

/**
 * Reads JSON from bytes as they come, so that a file may be larger than a string can be. What it is asked for has to
 * fit into memory value by value only.
 */
export class JsonScanner {
  #bytes: Uint8Array;
  #at = 0;
  #end = 0;
  #done = false;
  /** Place in the file of the first byte at hand. */
  #offset = 0;

  constructor(
    readonly source: ByteSource,
    size = 1 << 20,
  ) {
    // The byte after the last is always 0, which no JSON has: loops need not look for the end.
    this.#bytes = new Uint8Array(size + 1);
  }

  /** Runs `read`, again from the same place with more bytes whenever these did not suffice. */
  whole<T>(read: () => T): T {
    for (;;) {
      const start = this.#at;
      try {
        return read();
      } catch (thrown) {
        if (thrown !== needMore) throw thrown;
        this.#at = start;
        this.#fetch();
      }
    }
  }

  #fetch(): void {
    const left = this.#end - this.#at;
    const old = this.#bytes;
    const bytes = left > old.length / 2 ? new Uint8Array(2 * old.length) : old;
    bytes.set(old.subarray(this.#at, this.#end));
    this.#bytes = bytes;
    this.#offset += this.#at;
    this.#at = 0;
    const came = this.source(bytes.subarray(left, bytes.length - 1));
    this.#end = left + came;
    this.#done = came === 0;
    bytes[this.#end] = 0;
  }

  /** Entries of a list, one by one; `read` reads exactly one value. */
  list(read: (index: number) => void): void {
    this.whole(() => this.expect(openList, "a list"));
    if (this.whole(() => this.#accept(closeList))) return;
    for (let index = 0; ; index++) {
      this.whole(() => read(index));
      if (!this.whole(() => this.#more(closeList))) return;
    }
  }

  /** Fields of an object, one by one; `read` reads exactly the field's value, in pieces if it likes. */
  fields(read: (name: string) => void): void {
    this.whole(() => this.expect(openObject, "an object"));
    if (this.whole(() => this.#accept(closeObject))) return;
    for (;;) {
      read(this.whole(() => this.name()));
      if (!this.whole(() => this.#more(closeObject))) return;
    }
  }

  /** Nothing but space is left. */
  finish(): void {
    this.whole(() => {
      if (this.peek() !== 0 || this.#at < this.#end) this.fail("the end of the file");
    });
  }

  fail(expected: string): never {
    const byte = this.#bytes[this.#at] as number;
    if (this.#at >= this.#end && !this.#done) throw needMore;
    const got = this.#at >= this.#end ? "the end of the file" : `"${String.fromCharCode(byte)}"`;
    throw new JsonError(`expected ${expected}, got ${got}`, this.#offset + this.#at);
  }

  /** The next byte that is not space; 0 at the end of the file. */
  peek(): number {
    const bytes = this.#bytes;
    let byte = bytes[this.#at] as number;
    while (byte === 32 || byte === 10 || byte === 13 || byte === 9) byte = bytes[++this.#at] as number;
    if (byte === 0 && this.#at >= this.#end && !this.#done) throw needMore;
    return byte;
  }

  get at(): number {
    return this.#at;
  }

  /** Back to a place that `at` gave, within the value that is being read. */
  rewind(at: number): void {
    this.#at = at;
  }

  expect(byte: number, what: string): void {
    if (this.peek() !== byte) this.fail(what);
    this.#at++;
  }

  #accept(byte: number): boolean {
    if (this.peek() !== byte) return false;
    this.#at++;
    return true;
  }

  /** Past a comma (true) or the closing bracket (false). */
  #more(close: number): boolean {
    const byte = this.peek();
    if (byte !== comma && byte !== close) this.fail(`"," or "${String.fromCharCode(close)}"`);
    this.#at++;
    return byte === comma;
  }

  /** Past "{"; true when a field follows. */
  opensObject(): boolean {
    if (this.peek() !== openObject) return false;
    this.#at++;
    return true;
  }

  /** Past "," (true) or "}" (false). */
  moreFields(): boolean {
    return this.#more(closeObject);
  }

  /** The name of a field, past its colon. */
  name(): string {
    const name = this.string();
    this.expect(colon, '":"');
    return name;
  }

  /**
   * Which of `names` (as bytes) the next field is called, past its colon; -1 for another. Names of objects that come by
   * the hundred thousand are not worth a string each.
   */
  nameAmong(names: readonly Uint8Array[]): number {
    if (this.peek() !== quote) this.fail("the name of a field");
    const bytes = this.#bytes;
    const first = this.#at + 1;
    for (let n = 0; n < names.length; n++) {
      const name = names[n] as Uint8Array;
      let i = 0;
      while (i < name.length && bytes[first + i] === name[i]) i++;
      if (i < name.length || bytes[first + i] !== quote) continue;
      this.#at = first + i + 1;
      this.expect(colon, '":"');
      return n;
    }
    this.name();
    return -1;
  }

  /** A number, or NaN (and the place unchanged) where there is none. */
  number(): number {
    const first = this.peek();
    const bytes = this.#bytes;
    const start = this.#at;
    let at = first === minus ? start + 1 : start;
    let mantissa = 0;
    const whole = at;
    let byte = (bytes[at] as number) - zero;
    for (; byte >= 0 && byte <= 9; byte = (bytes[++at] as number) - zero) mantissa = 10 * mantissa + byte;
    let digits = at - whole;
    if (digits === 0 || (digits > 1 && bytes[whole] === zero)) return this.#cut(at);
    let scale = 0;
    if (byte === dot - zero) {
      const point = ++at;
      byte = (bytes[at] as number) - zero;
      for (; byte >= 0 && byte <= 9; byte = (bytes[++at] as number) - zero) mantissa = 10 * mantissa + byte;
      scale = at - point;
      digits += scale;
      if (scale === 0) return this.#cut(at);
    }
    if (byte === 101 - zero || byte === 69 - zero) return this.#exponential(start, at);
    if (at >= this.#end && !this.#done) throw needMore;
    this.#at = at;
    // Up to 15 digits, and a power of ten that is exact: one rounding, the right one (Clinger 1990).
    if (digits > 15 || scale > 22) return this.#long(start, at, scale);
    const value = mantissa / (powers[scale] as number);
    return first === minus ? -value : value;
  }

  /** A number of many digits, as Python and JavaScript write most. */
  #long(start: number, end: number, scale: number): number {
    const bytes = this.#bytes;
    let upper = 0;
    let lower = 0;
    let shift = 0;
    for (let at = start; at < end; at++) {
      const digit = (bytes[at] as number) - zero;
      if (digit < 0) continue;
      if (upper < 1e14) upper = 10 * upper + digit;
      else if (++shift <= 4) lower = 10 * lower + digit;
    }
    const value = shift <= 4 && scale <= 22 ? divideExactly(upper, lower, shift, scale) : Number.NaN;
    if (Number.isNaN(value)) return Number(this.#text(start, end));
    return bytes[start] === minus ? -value : value;
  }

  /** No number; or one that the bytes at hand cut off. */
  #cut(at: number): number {
    if (at >= this.#end && !this.#done) throw needMore;
    return Number.NaN;
  }

  #exponential(start: number, exponent: number): number {
    const bytes = this.#bytes;
    let at = exponent + 1;
    if (bytes[at] === minus || bytes[at] === plus) at++;
    const first = at;
    while ((bytes[at] as number) >= zero && (bytes[at] as number) < zero + 10) at++;
    if (at >= this.#end && !this.#done) throw needMore;
    if (at === first) return Number.NaN;
    this.#at = at;
    return Number(this.#text(start, at));
  }

  #text(first: number, end: number): string {
    let text = "";
    const bytes = this.#bytes;
    for (let at = first; at < end; at += 4096)
      text += String.fromCharCode(...bytes.subarray(at, Math.min(end, at + 4096)));
    return text;
  }

  string(): string {
    if (this.peek() !== quote) this.fail("a string");
    const bytes = this.#bytes;
    const first = ++this.#at;
    let at = first;
    while (
      bytes[at] !== quote &&
      bytes[at] !== backslash &&
      (bytes[at] as number) >= 32 &&
      (bytes[at] as number) < 128
    )
      at++;
    if (bytes[at] === quote) {
      this.#at = at + 1;
      return this.#text(first, at);
    }
    return this.#mixedString(first, at);
  }

  /** The rest of a string with escapes, or characters beyond ASCII. */
  #mixedString(first: number, from: number): string {
    let text = this.#text(first, from);
    this.#at = from;
    for (;;) {
      const byte = this.#bytes[this.#at] as number;
      if (byte === quote) break;
      if (byte < 32) this.fail("a string without line breaks, to its closing quote");
      text +=
        byte === backslash
          ? this.#escape()
          : byte < 128
            ? String.fromCharCode(byte)
            : this.#beyondAscii(byte);
      if (byte !== backslash && byte < 128) this.#at++;
    }
    this.#at++;
    return text;
  }

  #escape(): string {
    const letter = this.#bytes[++this.#at] as number;
    if (letter === 0) this.fail("an escape");
    const name = String.fromCharCode(letter);
    this.#at++;
    if (name !== "u") {
      if (!'"\\/bfnrt'.includes(name)) {
        this.#at--;
        this.fail("an escape");
      }
      return escapes[name] ?? name;
    }
    const digits = this.#text(this.#at, Math.min(this.#at + 4, this.#end));
    if (digits.length < 4 && !this.#done) throw needMore;
    if (!/^[0-9a-fA-F]{4}$/.test(digits)) this.fail("four hexadecimal digits");
    this.#at += 4;
    return String.fromCharCode(Number.parseInt(digits, 16));
  }

  /** One character of UTF-8. */
  #beyondAscii(first: number): string {
    const count = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
    if (this.#at + count >= this.#end && !this.#done) throw needMore;
    let point = first & (0x3f >> count);
    for (let i = 1; i <= count; i++) point = (point << 6) | ((this.#bytes[this.#at + i] as number) & 0x3f);
    this.#at += count + 1;
    return point > 0x10ffff ? "\ufffd" : String.fromCodePoint(point);
  }

  /** Any value, as JSON.parse gives it; also NaN and Infinity as Python writes them. */
  value(): unknown {
    const byte = this.peek();
    if (byte === quote) return this.string();
    if (byte === openList) return this.#listValue();
    if (byte === openObject) return this.#objectValue();
    const number = this.number();
    if (!Number.isNaN(number)) return number;
    for (const [word, value] of words) {
      if (this.#at + word.length > this.#end && !this.#done) throw needMore;
      if (this.#text(this.#at, Math.min(this.#at + word.length, this.#end)) !== word) continue;
      this.#at += word.length;
      return value;
    }
    return this.fail("a value");
  }

  #listValue(): unknown[] {
    const out: unknown[] = [];
    this.#at++;
    if (this.#accept(closeList)) return out;
    do out.push(this.value());
    while (this.#more(closeList));
    return out;
  }

  #objectValue(): Record<string, unknown> {
    const out: [string, unknown][] = [];
    this.#at++;
    if (this.#accept(closeObject)) return {};
    do out.push([this.name(), this.value()]);
    while (this.#more(closeObject));
    return Object.fromEntries(out);
  }

  /** `count` numbers in a list, into `out` from `first`; false (and some place within) where there is anything else. */
  numbers(out: Float64Array, first: number, count: number): boolean {
    if (!this.#accept(openList)) return false;
    for (let i = 0; i < count; i++) {
      const value = this.number();
      if (Number.isNaN(value)) return false;
      out[first + i] = value;
      if (this.peek() !== (i + 1 < count ? comma : closeList)) return false;
      this.#at++;
    }
    return true;
  }

  /** Past a value that nobody asks for; brackets are counted, numbers in it not looked at. */
  skip(): void {
    const byte = this.peek();
    if (byte !== openList && byte !== openObject) {
      this.value();
      return;
    }
    const bytes = this.#bytes;
    let depth = 0;
    do {
      const own = bytes[this.#at] as number;
      if (own === quote) {
        this.#skipString();
        continue;
      }
      if (own === openList || own === openObject) depth++;
      else if (own === closeList || own === closeObject) depth--;
      else if (own === 0) this.fail('"]" or "}"');
      this.#at++;
    } while (depth > 0);
  }

  #skipString(): void {
    const bytes = this.#bytes;
    let at = this.#at + 1;
    while (bytes[at] !== quote) {
      if (bytes[at] === backslash) at++;
      if (bytes[at] === 0) {
        this.#at = Math.min(at, this.#end);
        this.fail("a closing quote");
      }
      at++;
    }
    this.#at = at + 1;
  }
}

/** Names as bytes, for {@link JsonScanner.nameAmong}. */
export const nameBytes = (names: readonly string[]): Uint8Array[] =>
  names.map((name) => Uint8Array.from(name, (letter) => letter.charCodeAt(0)));
