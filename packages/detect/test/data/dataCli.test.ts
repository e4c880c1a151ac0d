import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type Outcome, sepcHere } from "../support/command.js";

const folder = mkdtempSync(join(tmpdir(), "sepc-data-cli-"));
const at = (...parts: string[]): string => join(folder, ...parts);
afterAll(() => rmSync(folder, { recursive: true, force: true }));
afterEach(() => {
  process.exitCode = undefined;
});

/** What `sepc data ...` prints, and its exit code. */
const sepc = (...args: string[]): Promise<Outcome> => sepcHere("data", ...args);

beforeAll(async () => {
  const made = await sepc(
    "synth",
    "--out",
    at("shapes"),
    "--images",
    "5",
    "--size",
    "64x48",
    "--max",
    "40",
    "--format",
    "jpeg",
  );
  expect(made.code).toBe(0);
});

describe("sepc data", () => {
  test("synth makes a data set that check finds nothing wrong with", async () => {
    const { code, out } = await sepc("check", at("shapes"), "--workers", "1", "--json");
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ images: 5, splits: { train: 4, val: 1 }, errors: 0 });
  });

  test("check says what is wrong and where, and ends with 1", async () => {
    await sepc("convert", at("shapes"), "--to", "coco", "--out", at("wrong"));
    const file = at("wrong", "annotations", "train.json");
    const content = JSON.parse(readFileSync(file, "utf8"));
    content.images[0].width = 640;
    content.annotations[0].category_id = 99;
    writeFileSync(file, JSON.stringify(content));
    const { code, out } = await sepc("check", at("wrong"), "--workers", "0");
    expect(code).toBe(1);
    expect(out).toMatch(
      /error: bad entry \(1\)\n.*train\.json: annotations\.0\.category_id: expected one of .*got 99/,
    );
    expect(out).toMatch(/error: other size than stated \(1\)\n.*64x48, the annotations say 640x48/);
    expect(out).toMatch(/5 images: 2 errors/);
  });

  test("stats counts for people and for programs", async () => {
    const { out } = await sepc("stats", at("shapes"), "--split", "train");
    expect(out).toMatch(/4 images \(\d+ without objects\), \d+ objects/);
    expect(out).toMatch(/width : height/);
    const all = JSON.parse((await sepc("stats", at("shapes"), "--json")).out);
    expect(all.map(({ split, images }: { split: string; images: number }) => [split, images])).toEqual([
      ["train", 4],
      ["val", 1],
    ]);
  });

  test("convert writes a folder that is read again, and says what it could not keep", async () => {
    const { code, out } = await sepc("convert", at("shapes"), "--to", "yolo", "--out", at("yolo"));
    expect([code, out]).toEqual([0, expect.stringMatching(/^5 images, \d+ objects in /)]);
    expect(existsSync(at("yolo", "data.yaml"))).toBe(true);
    expect(readFileSync(at("yolo", "data.yaml"), "utf8")).toMatch(/names:\n {2}0: circle\n/);
    const again = await sepc("convert", at("shapes"), "--to", "yolo", "--out", at("yolo"));
    expect(again.code).toBe(1);
    expect(again.err).toMatch(/expected a folder that is new or empty/);
  });

  test.each([
    [["check", "nowhere"], 1, /nowhere: there is no such data set; expected a COCO \.json/],
    [["convert", ".", "--to", "xml", "--out", "x"], 2, /Allowed choices are coco, voc, yolo/],
    [["convert", ".", "--to", "coco"], 2, /required option '--out/],
    [["synth", "--out", "x", "--images", "many"], 2, /Expected a whole number/],
    [["synth", "--out", "x", "--size", "320"], 2, /Expected WIDTHxHEIGHT/],
    [["synth", "--out", "x", "--splits", "train"], 2, /Expected names and shares/],
    [["synth", "--out", "x", "--classes", "circle,egg"], 1, /got circle, egg/],
  ])("refuses %j with code %i", async (args, code, message) => {
    const result = await sepc(...args);
    expect(result.code).toBe(code);
    expect(result.err).toMatch(message);
  });

  test.each(["check", "stats", "convert", "synth"])("%s --help has an example", async (verb) => {
    const { code, out } = await sepc(verb, "--help");
    expect(code).toBe(0);
    expect(out).toMatch(new RegExp(`Example:\\n {2}npx sepc data ${verb}`));
  });
});
