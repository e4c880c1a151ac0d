/** What every runtime has, browsers and Node alike, and the language's own library does not declare. */
declare const performance: { now(): number };
declare class TextDecoder {
  decode(bytes: Uint8Array): string;
}
