// AUTOMATIC1111's parameters text, as it stands in PNG files: read in one pass, without a pattern that could run away.
//
//   PROMPT, any number of lines
//   Negative prompt: NEGATIVE, any number of lines
//   Steps: 20, Sampler: Euler, CFG scale: 7, Seed: 1, Size: 512x512, Lora hashes: "a: 1f, b: 2c"

const NEGATIVE = "Negative prompt:";

export function parseInfotext(text) {
  const lines = text.slice(0, 100_000).trim().split("\n");
  let fields = pairs(lines[lines.length - 1]);
  if (fields.size >= 3) lines.pop();
  else fields = new Map();
  const start = lines.findIndex((line) => line.startsWith(NEGATIVE));
  const positive = start < 0 ? lines : lines.slice(0, start);
  const negative = start < 0 ? [] : [lines[start].slice(NEGATIVE.length).trim(), ...lines.slice(start + 1)];
  return {
    prompt: fields.get("Exact prompt") ?? positive.join("\n").trim(),
    negative_prompt: fields.get("Exact negative prompt") ?? negative.join("\n").trim(),
    fields,
  };
}

// "A: 1, B: "x, y", C: 2" as a map; a quoted value is JSON.
function pairs(line) {
  const found = new Map();
  let at = 0;
  while (at < line.length) {
    const colon = line.indexOf(":", at);
    if (colon < 0) break;
    const name = line.slice(at, colon).trim();
    let from = colon + 1;
    while (line[from] === " ") from += 1;
    const end = line[from] === '"' ? quoteEnd(line, from) : -1;
    const comma = line.indexOf(",", end < 0 ? from : end);
    const stop = comma < 0 ? line.length : comma;
    if (/^[\w][\w \-/]*$/.test(name)) found.set(name, value(line.slice(from, end < 0 ? stop : end).trim()));
    at = stop + 1;
  }
  return found;
}

function quoteEnd(line, from) {
  for (let at = from + 1; at < line.length; at += 1) {
    if (line[at] === "\\") at += 1;
    else if (line[at] === '"') return at + 1;
  }
  return -1;
}

function value(text) {
  if (!text.startsWith('"')) return text;
  try {
    return String(JSON.parse(text));
  } catch {
    return text;
  }
}

// What the text says in the words of `api/generate`; `info` tells which names this server knows.
export function settingsOf(parsed, info) {
  const { fields } = parsed;
  const number = (name) => (fields.has(name) && Number.isFinite(Number(fields.get(name))) ? Number(fields.get(name)) : undefined);
  const settings = { prompt: parsed.prompt, negative_prompt: parsed.negative_prompt };
  const [width, height] = (fields.get("Size") ?? "").split("x").map(Number);
  if (width > 0 && height > 0) Object.assign(settings, { width, height });
  Object.assign(settings, { steps: number("Steps"), cfg_scale: number("CFG scale"), seed: number("Seed") });
  Object.assign(settings, schedule(fields.get("Sampler") ?? "", fields.get("Schedule type"), info));
  const model = info.models.find((each) => each.name === fields.get("Model"));
  if (model) settings.model = model.name;
  const strength = number("Variation seed strength");
  if (strength > 0) settings.variation = { seed: number("Variation seed") ?? null, strength };
  const scale = number("Hires upscale");
  if (scale > 1) {
    settings.hires = { scale, steps: number("Hires steps") ?? 0, denoising_strength: number("Denoising strength") ?? 0.5 };
    if (info.upscalers.includes(fields.get("Hires upscaler"))) settings.hires.upscaler = fields.get("Hires upscaler");
  }
  return Object.fromEntries(Object.entries(settings).filter(([, each]) => each !== undefined));
}

// Older files write "DPM++ 2M Karras" for a sampler and its schedule.
function schedule(text, type, info) {
  for (const { name, schedulers } of info.samplers) {
    if (text === name) return { sampler: name, scheduler: schedulers.includes(type) ? type : schedulers[0] };
    const joint = schedulers.find((each) => text === `${name} ${each}`);
    if (joint) return { sampler: name, scheduler: joint };
  }
  return {};
}
