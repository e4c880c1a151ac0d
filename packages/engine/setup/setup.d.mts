/** An installed libtorch. */
export interface Libtorch {
  root: string;
  includeDirs: string[];
  libDir: string;
  version: string;
  source: string;
  cuda: boolean;
  oldAbi: boolean;
}

export interface FetchOptions {
  /** "2.10.0" */
  version?: string | undefined;
  /** "cpu", "cu128" */
  variant?: string | undefined;
  /** Address in place of the official server's. */
  mirror?: string | undefined;
  /** Folder that receives the unpacked archive. */
  dir?: string | undefined;
  /** SHA-256 of the archive, in hexadecimal. */
  sha256?: string | undefined;
  /** false: take an archive whose checksum nobody knows. */
  verify?: boolean | undefined;
  /** Path of an archive that was downloaded by other means. */
  archive?: string | undefined;
}

/** A failure that a person can mend: its message is all they need. */
export class SetupError extends Error {}

/** The CUDA build fetched when none is named. */
export const defaultCuda: string;

export function findLibtorch(): Libtorch | undefined;
/** @throws SetupError that says where it looked and what to run. */
export function requireLibtorch(): Libtorch;
/** Fetches an official libtorch archive; from then on it is the one that is found. */
export function fetchLibtorch(options?: FetchOptions): Promise<Libtorch>;
export function downloadFolder(): string;

export interface FetchFileOptions {
  readonly url: string;
  /** Where the file goes; one that is there is checked and not fetched. */
  readonly path: string;
  /** The first hexadecimal digits of its SHA-256, or all 64. */
  readonly sha256: string;
  readonly connection?:
    | { attempts?: number | undefined; pauseMs?: number | undefined; stallMs?: number | undefined }
    | undefined;
}

/**
 * The file's path, once it is there whole and right; fetched with progress, going on where it stopped.
 * @throws SetupError when it cannot be had, with where to put it by hand; or when its checksum is another.
 */
export function fetchFile(options: FetchFileOptions): Promise<string>;
/** $SEPC_CACHE, or sepc in the user's cache. */
export function cacheFolder(): string;
/** @param options `libtorch: false` leaves libtorch itself out: the tools for building alone. */
export function installSystemPackages(options?: { libtorch?: boolean }): Promise<void>;
export function buildEngine(libtorch: Libtorch): Promise<void>;
export function buildOperatorLibrary(folder: string, name: string, libtorch: Libtorch): Promise<void>;

export function run(
  program: string,
  args: readonly string[],
  options?: { cwd?: string; env?: NodeJS.ProcessEnv },
): Promise<string>;
export function say(line: string): void;
export function setQuiet(on: boolean): void;
export function step(name: string, body: () => Promise<string | undefined>): Promise<void>;
export function withLock<T>(
  path: string,
  body: () => Promise<T>,
  options?: { patienceMs?: number; pollMs?: number; what?: string },
): Promise<T>;
