/** What can go wrong with a request: status and title of each kind. Kinds are stable; programs may act on them. */
export const problemKinds = {
  "bad-query": [400, "The query was not understood"],
  "bad-multipart": [400, "The multipart body was not understood"],
  "not-found": [404, "There is nothing at this address"],
  "wrong-method": [405, "This address does not know that method"],
  "slow-request": [408, "The request took too long to arrive"],
  "too-large": [413, "The request is too large"],
  "too-many-pixels": [413, "The picture has too many pixels"],
  "not-a-picture": [415, "This is no picture of a known format"],
  "broken-picture": [422, "The picture cannot be read"],
  "queue-full": [429, "Too many requests at once"],
  failed: [500, "The server failed"],
  stopping: [503, "The server is stopping"],
  "timed-out": [504, "The answer took too long"],
} as const;

export type ProblemKind = keyof typeof problemKinds;
export type ProblemStatus = (typeof problemKinds)[ProblemKind][0];

/** A problem as JSON (RFC 9457). */
export interface ProblemDetails {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
}

/** A request that is refused or failed, in words for its client. */
export class Problem extends Error {
  override readonly name = "Problem";

  constructor(
    readonly kind: ProblemKind,
    detail: string,
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    super(detail);
  }

  get status(): ProblemStatus {
    return problemKinds[this.kind][0];
  }

  get details(): ProblemDetails {
    const [status, title] = problemKinds[this.kind];
    return { type: `urn:sepc:problem:${this.kind}`, title, status, detail: this.message };
  }

  /** The answer. */
  response(): Response {
    return new Response(JSON.stringify(this.details), {
      status: this.status,
      headers: { "content-type": "application/problem+json", ...this.headers },
    });
  }
}

/** Why work ended whose client has closed the connection: nobody is there to be told. */
export class ClientGone extends Error {
  override readonly name = "ClientGone";

  constructor() {
    super("the client closed the connection");
  }
}
