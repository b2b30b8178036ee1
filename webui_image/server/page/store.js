// One's own pictures, kept in this browser (IndexedDB) and nowhere else. Bounded: the oldest go first. Pictures and what
// is known of them lie apart, so that listing reads no pixels.

const MOST = 300;
const MOST_BYTES = 300 * 1024 * 1024;

export async function openStore() {
  try {
    return new Store(await opened());
  } catch {
    return new Store(null); // private windows of some browsers: kept until the page is closed
  }
}

function opened() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open("gpu-hunter-pictures", 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("about", { keyPath: "id", autoIncrement: true });
      request.result.createObjectStore("pictures");
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
    request.onblocked = () => reject(new Error("blocked"));
  });
}

const finished = (transaction) =>
  new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = transaction.onerror = () => reject(transaction.error);
  });

const answer = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

class Store {
  constructor(database) {
    this.database = database;
    this.lasting = database !== null;
    this.held = new Map(); // id -> [about, blob], where there is no database
  }

  // Keeps a picture; resolves to what is known of it, with its `id`. The oldest make room when the browser has none left.
  async add(about, blob) {
    const record = { ...about, bytes: blob.size };
    if (!this.lasting) {
      record.id = this.held.size ? Math.max(...this.held.keys()) + 1 : 1;
      this.held.set(record.id, [record, blob]);
      return record;
    }
    try {
      return await this.put(record, blob);
    } catch (error) {
      if (error?.name !== "QuotaExceededError") throw error;
      for (const old of (await this.list()).slice(-10)) await this.remove(old.id);
      return this.put(record, blob);
    }
  }

  async put(record, blob) {
    const transaction = this.database.transaction(["about", "pictures"], "readwrite");
    const done = finished(transaction);
    record.id = await answer(transaction.objectStore("about").add(record));
    transaction.objectStore("pictures").put(blob, record.id);
    await done;
    return record;
  }

  // All that is known, the newest first.
  async list() {
    const all = this.lasting
      ? await answer(this.database.transaction("about").objectStore("about").getAll())
      : [...this.held.values()].map(([about]) => about);
    return all.sort((a, b) => b.id - a.id);
  }

  async blob(id) {
    if (!this.lasting) return this.held.get(id)?.[1];
    return answer(this.database.transaction("pictures").objectStore("pictures").get(id));
  }

  async remove(id) {
    if (!this.lasting) return void this.held.delete(id);
    const transaction = this.database.transaction(["about", "pictures"], "readwrite");
    transaction.objectStore("about").delete(id);
    transaction.objectStore("pictures").delete(id);
    await finished(transaction);
  }

  async clear() {
    this.held.clear();
    if (!this.lasting) return;
    const transaction = this.database.transaction(["about", "pictures"], "readwrite");
    transaction.objectStore("about").clear();
    transaction.objectStore("pictures").clear();
    await finished(transaction);
  }

  // Lets the oldest go beyond the bounds; resolves to the ids that went.
  async prune() {
    let bytes = 0;
    const gone = (await this.list()).filter((each, at) => {
      bytes += each.bytes;
      return at >= MOST || (bytes > MOST_BYTES && at > 0);
    });
    for (const each of gone) await this.remove(each.id);
    return gone.map((each) => each.id);
  }
}
