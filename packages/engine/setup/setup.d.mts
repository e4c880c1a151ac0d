/** An installed libtorch. */
export interface Libtorch {
  root: string;
  includeDirs: string[];
  libDir: string;
  version: string;
  source: string;
  cuda: boolean;
}
/** A failure that a person can mend: its message is all they need. */
export class SetupError extends Error {}
export function findLibtorch(): Libtorch | undefined;
export function requireLibtorch(): Libtorch;
export function installSystemPackages(): Promise<void>;
export function buildEngine(libtorch: Libtorch): Promise<void>;
export function buildOperatorLibrary(folder: string, name: string, libtorch: Libtorch): Promise<void>;
