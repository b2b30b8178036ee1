// The texts inside a PNG file, read in the browser: nothing is uploaded. Bounded, since files come from anywhere.

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];
const LONGEST = 1_000_000; // bytes of one text, also after inflating

export async function parametersOf(blob) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  if (SIGNATURE.some((each, at) => bytes[at] !== each)) return null;
  const view = new DataView(bytes.buffer);
  for (let at = 8; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at);
    const kind = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const data = bytes.subarray(at + 8, at + 8 + length);
    if (kind === "IEND" || data.length < length) return null;
    const found = length <= LONGEST ? await textOf(kind, data) : null;
    if (found?.keyword === "parameters") return found.text;
    at += 12 + length;
  }
  return null;
}

async function textOf(kind, data) {
  if (!["tEXt", "zTXt", "iTXt"].includes(kind)) return null;
  const end = data.indexOf(0);
  const keyword = latin(data.subarray(0, end));
  const rest = data.subarray(end + 1);
  if (kind === "tEXt") return { keyword, text: latin(rest) };
  if (kind === "zTXt") return { keyword, text: latin(await inflate(rest.subarray(1))) };
  const language = rest.indexOf(0, 2);
  const translated = rest.indexOf(0, language + 1);
  const body = rest.subarray(translated + 1);
  return { keyword, text: new TextDecoder().decode(rest[0] === 1 ? await inflate(body) : body) };
}

// ISO 8859-1 proper; the label "latin1" would mean windows-1252 to a TextDecoder.
function latin(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return text;
}

async function inflate(bytes) {
  const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate")).getReader();
  const parts = [];
  let total = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    total += value.length;
    if (total > LONGEST) {
      await reader.cancel();
      break;
    }
    parts.push(value);
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}
