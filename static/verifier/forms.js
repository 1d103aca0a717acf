/* Bytes and files for verify.js: canonical MessagePack, what fields of what must be, and files around it.
   Whatever has not its form is told in one sentence, the same as in every other verifier. Numbers above 2^53
   are BigInt. Needs `sha256` (static/vendor) as a global. */
(function (root) {
  "use strict";

  const COUNT_MAX = 2n ** 62n;
  const BYTES_MAX = { certificate: 2 ** 18, chain: 2 ** 24, transcript: 2 ** 26 };
  const utf8 = new TextEncoder();

  /* A file that proves nothing: a sentence, its stable code, and the place that the code is about. */
  class Refused extends Error {
    constructor(code, place, why) {
      super(why);
      this.code = code;
      this.place = place;
    }
  }

  function need(condition, code = "malformed", place = "", why = "") {
    if (!condition) throw new Refused(code, place, why);
  }

  const join = (...parts) => joined(parts);

  function joined(parts) {
    const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
    let at = 0;
    for (const part of parts) {
      whole.set(part, at);
      at += part.length;
    }
    return whole;
  }

  function same(one, other) {
    return one.length === other.length && one.every((byte, at) => byte === other[at]);
  }

  function digest(...parts) {
    return root.sha256(join(...parts));
  }

  const tag = (text) => utf8.encode(text + "\0");
  const isNumber = (value) => typeof value === "number" || typeof value === "bigint";

  /* The one MessagePack value in `data`: arrays, bytes, texts, whole numbers, true and false. */
  function unpack(data) {
    let at = 0;
    const take = (size) => {
      at += size;
      need(at <= data.length);
      return data.slice(at - size, at);
    };
    const number = (width) => {
      const found = take(width).reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
      return found <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(found) : found;
    };
    const value = (depth) => {
      const head = number(1);
      if (head < 0x80) return head;
      if (head === 0xc2 || head === 0xc3) return head === 0xc3;
      if (head >= 0xcc && head <= 0xcf) return number(1 << (head - 0xcc));
      if (head >= 0xc4 && head <= 0xc6) return take(number(1 << (head - 0xc4)));
      if ((head >= 0xa0 && head < 0xc0) || (head >= 0xd9 && head <= 0xdb)) {
        const size = head < 0xc0 ? head & 31 : number(1 << (head - 0xd9));
        return text(take(size));
      }
      need(depth < 16 && ((head >= 0x90 && head < 0xa0) || head === 0xdc || head === 0xdd));
      const size = head < 0xa0 ? head & 15 : number(2 << (head - 0xdc));
      const items = [];
      while (items.length < size) items.push(value(depth + 1));
      return items;
    };
    const found = value(0);
    need(same(pack(found), data));
    return found;
  }

  function text(bytes) {
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      throw new Refused("malformed", "", "");
    }
  }

  /* Canonical MessagePack: every number and length in its shortest form. */
  function pack(value) {
    if (typeof value === "boolean") return new Uint8Array([value ? 0xc3 : 0xc2]);
    if (isNumber(value)) return sized(BigInt(value), 0, 128n, 0xcc, 1);
    if (typeof value === "string") {
      const body = utf8.encode(value);
      return join(sized(BigInt(body.length), 0xa0, 32n, 0xd9, 1), body);
    }
    if (Array.isArray(value)) {
      return joined([sized(BigInt(value.length), 0x90, 16n, 0xdb, 2), ...value.map(pack)]);
    }
    return join(sized(BigInt(value.length), 0, 0n, 0xc4, 1), value);
  }

  function sized(size, small, limit, head, least) {
    if (size < limit) return new Uint8Array([small | Number(size)]);
    const width = [1, 2, 4, 8].find((each) => each >= least && size < 1n << BigInt(8 * each));
    const bytes = [head + Math.log2(width)];
    for (let at = width - 1; at >= 0; at -= 1) bytes.push(Number((size >> BigInt(8 * at)) & 255n));
    return new Uint8Array(bytes);
  }

  const isBytes = (value, size) => value instanceof Uint8Array && (size === undefined || value.length === size);
  const isList = (value, fits) => Array.isArray(value) && value.every(fits);
  const isArray = (value, shape) =>
    Array.isArray(value) && value.length === shape.length && value.every((each, at) => FITS[shape[at]](each));

  /* Of a transcript: events, certificates, their votes and signatures, each with its bounds. */
  const isWithin = (value, least, most) => value >= least && value <= most;
  const OF_EVENTS = {
    a: (value) => isNumber(value) && isWithin(value, 0, 255),
    c: (value) => isBytes(value) && value.length <= 2 ** 16,
    e: (value) => isArray(value, "hlb"),
    g: (value) => isNumber(value) && isWithin(value, 1, 4096),
    l: (value) => isBytes(value) && (value.length === 0 || value.length === 16),
    n: (value) => isNumber(value) && isWithin(value, 1, 256),
    v: (value) => isBytes(value) && value.length <= 2 ** 15,
    B: (value) => isList(value, (each) => isArray(each, "iigHk")) && value.length <= 31,
    D: (value) => isList(value, FITS.c) && isWithin(value.length, 1, 2 ** 18),
    E: (value) => isList(value, FITS.e) && isWithin(value.length, 1, 2 ** 18),
    H: (value) => isList(value, FITS.h) && value.length <= 12,
    L: (value) => isList(value, (each) => isArray(each, "as")) && value.length <= 256,
    T: (value) => typeof value === "string" && Array.from(value).length <= 1024,
    V: (value) => isArray(value, "TTinhhh"),
  };

  /* One letter for each type: int, text, word, bytes, hash, date (0: none), tag, signature (k),
     path, flag, how members agree (r); Capitals: lists, and what a certificate's proof may be. */
  const FITS = {
    ...OF_EVENTS,
    i: (value) => isNumber(value) && value <= COUNT_MAX,
    s: (value) => typeof value === "string",
    w: (value) => typeof value === "string" && Array.from(value).length <= 256,
    b: (value) => isBytes(value),
    h: (value) => isBytes(value, 32),
    d: (value) => isNumber(value) && value < 2n ** 63n,
    q: (value) => isBytes(value, 8),
    k: (value) => isBytes(value, 64),
    p: (value) => isBytes(value) && value.length <= 2048 && value.length % 32 === 0,
    f: (value) => typeof value === "boolean",
    o: (value) => isArray(value, "sssssibb"),
    t: (value) => isArray(value, "siiKi"),
    r: (value) => value === "raft",
    u: (value) => isArray(value, "siiKiG"),
    x: (value) => isArray(value, "siiKiMr"),
    y: (value) => isList(value, FITS.i) && (value.length === 0 || value.length === 2),
    z: (value) => value >= 1 && value <= 5 && isNumber(value),
    C: (value) =>
      (isArray(value, "sI") && value[0] === "receipts") || (isArray(value, "siihipI") && value[0] === "checkpoint") ||
      (isArray(value, "shpI") && value[0] === "continuation"),
    F: (value) => isList(value, FITS.b),
    I: (value) => isList(value, (each) => isArray(each, "ik")) && value.length <= 31,
    J: (value) => isList(value, (each) => isArray(each, "shY")),
    G: (value) => isArray(value, "hiihhiQ"),
    K: (value) => isArray(value, "iiiiiii") || (isArray(value, "iiiiiiii") && isWithin(value[7], 2, 2 ** 31)),
    M: (value) => isList(value, FITS.G) && value.length <= 1,
    N: (value) => isList(value, FITS.i),
    P: (value) => isArray(value, "bmJ"),
    Q: (value) => isList(value, (each) => isArray(each, "sh")) && value.length <= 31,
    R: (value) => isList(value, (each) => isArray(each, "PF")),
    S: (value) => isList(value, (each) => isArray(each, "sb")),
    W: (value) => isArray(value, "ssiiifdss"),
    X: (value) => isList(value, FITS.m),
    Y: (value) => isList(value, (each) => isArray(each, "ss")),
    m: (value) => isArray(value, "shsi"),
  };

  /* The fields in the bytes of `what`, types checked: one sentence, whatever is wrong with them. */
  function opened(data, shape, what) {
    const wrong = ["malformed", what.replace(/^\w+ /, ""), `${what} has not the form of one`];
    let found;
    try {
      found = unpack(data);
    } catch (error) {
      if (error instanceof Refused) throw new Refused(...wrong);
      throw error;
    }
    need(isArray(found, shape), ...wrong);
    return found;
  }

  /* The one form of a file in JSON, names in either order; its base64 is the only group that takes part. What
     readers of JSON disagree about (names said twice, escapes, numbers, depth) is no part of it. */
  function formOf(kind) {
    const space = "[ \\t\\r\\n]*";
    const pair = (name, value) => `"${name}"${space}:${space}${value}`;
    const both = (one, other) =>
      `\\{${space}(?:${one}${space},${space}${other}|${other}${space},${space}${one})${space}\\}`;
    const inner = both(pair("format", `"dtvn-${kind}/1"`), pair(kind, '"([A-Za-z0-9+/]+={0,2})"'));
    const answer = both(pair("success", "true"), pair("data", inner));
    return new RegExp(`^(?:${inner}|${answer})${space}$`);
  }

  /* Base64 makes four bytes of three; the rest is for white space. */
  function needRoom(kind, size) {
    const most = 2 * BYTES_MAX[kind];
    need(size <= most, "too_large", kind, `this file is no ${kind}: it is too large, over ${most} bytes`);
  }

  /* The bytes inside a file (Uint8Array): bare, in JSON, or in an answer of the REST API. */
  function unwrap(kind, file) {
    needRoom(kind, file.length);
    let data = file;
    if (file[0] === 0x7b) {
      // Bytes that are no UTF-8 become a letter that the form has nowhere.
      const groups = formOf(kind).exec(new TextDecoder("utf-8").decode(file));
      const form = `{"format": "dtvn-${kind}/1", "${kind}": "<base64>"}`;
      const why = `this file is no ${kind}: not ${form}, alone or the "data" of a good answer`;
      need(groups, "wrong_file", kind, why);
      const coded = groups.slice(1).find((group) => group !== undefined);
      const letters = root.atob(coded.slice(0, coded.length - (coded.length % 4)));
      const spelling = `the ${kind} in this file is not the one spelling of its base64`;
      need(root.btoa(letters) === coded, "wrong_file", kind, spelling);
      data = Uint8Array.from(letters, (letter) => letter.charCodeAt(0));
    } else {
      const begins = file[0] >= 0x90 && file[0] < 0xa0;
      need(begins, "wrong_file", kind, `this file is no ${kind}: it begins neither with { nor as its bytes do`);
    }
    const many = `this file is no ${kind}: ${data.length} bytes are too many`;
    need(data.length <= BYTES_MAX[kind], "too_large", kind, many);
    return data;
  }

  root.dtvnForms = { Refused, digest, join, need, needRoom, opened, pack, same, tag, unwrap };
})(globalThis);
