import { cudaDeviceCount } from "@sepc/engine";
import { expect, test } from "vitest";
import { deviceOf } from "../../src/train/device.js";

test("--device: the best there is, or the one that is named", () => {
  expect(deviceOf(undefined)).toBe(cudaDeviceCount() > 0 ? "cuda" : "cpu");
  expect(deviceOf("cpu")).toBe("cpu");
});

test.each([
  ["gpu", /device: expected cpu, cuda or cuda:N, got "gpu"/],
  ["cuda:", /expected cpu, cuda or cuda:N/],
  ["CPU", /expected cpu, cuda or cuda:N/],
  ["cuda:99", /device cuda:99: this machine and libtorch have .*sepc doctor/],
])("--device %s is refused with what there is", (name, message) => {
  expect(() => deviceOf(name)).toThrow(message);
});
