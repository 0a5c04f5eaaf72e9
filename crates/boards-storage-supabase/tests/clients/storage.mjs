// What the official JavaScript client does against the double. Arguments: url, key, bucket.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const [url, key, bucket, modules] = process.argv.slice(2);
const { StorageClient } = createRequire(`${modules}/`)('@supabase/storage-js');
const client = new StorageClient(`${url}/storage/v1`, { apikey: key, authorization: `Bearer ${key}` });

async function ok(promise) {
  const { data, error } = await promise;
  assert.equal(error, null, error?.message);
  return data;
}

async function refused(promise, status) {
  const { error } = await promise;
  assert.ok(error, 'an error was expected');
  assert.equal(String(error.statusCode), status, error.message);
}

const text = async (blob) => Buffer.from(await blob.arrayBuffer()).toString();

await ok(client.createBucket(bucket, { public: false }));
await refused(client.createBucket(bucket), '409');
assert.equal((await ok(client.getBucket(bucket))).name, bucket);
const store = client.from(bucket);

const said = { contentType: 'text/plain', cacheControl: '60', metadata: { camera: 'Größe 1' } };
await ok(store.upload('dir/a b.txt', Buffer.from('one'), said));
await refused(store.upload('dir/a b.txt', Buffer.from('two'), said), '409');
await ok(store.upload('dir/a b.txt', Buffer.from('two'), { ...said, upsert: true }));
await ok(store.update('dir/a b.txt', Buffer.from('three'), said));
assert.equal(await text(await ok(store.download('dir/a b.txt'))), 'three');
await refused(store.download('dir/nothing.txt'), '404');
await ok(store.upload('dir/blob.txt', new Blob(['blob'], { type: 'text/plain' })));

const info = await ok(store.info('dir/a b.txt'));
assert.equal(info.size, 5);
assert.deepEqual(info.metadata, { camera: 'Größe 1' });
assert.equal((await store.exists('dir/a b.txt')).data, true);
assert.equal((await store.exists('dir/nothing.txt')).data, false);

assert.deepEqual((await ok(store.list('dir'))).map((entry) => entry.name), ['a b.txt', 'blob.txt']);
const second = await ok(store.listV2({ prefix: 'dir/', with_delimiter: true }));
assert.deepEqual(second.objects.map((entry) => entry.name), ['dir/a b.txt', 'dir/blob.txt']);

await ok(store.copy('dir/a b.txt', 'dir/copied.txt'));
await ok(store.move('dir/copied.txt', 'dir/moved.txt'));
await refused(store.move('dir/blob.txt', 'dir/moved.txt'), '409');

const signed = await ok(store.createSignedUrl('dir/a b.txt', 60, { download: 'name.txt' }));
const answer = await fetch(signed.signedUrl);
assert.equal(await answer.text(), 'three');
assert.match(answer.headers.get('content-disposition'), /name\.txt/);
const batch = await ok(store.createSignedUrls(['dir/moved.txt', 'dir/nothing.txt'], 60));
assert.equal(await (await fetch(batch[0].signedUrl)).text(), 'three');
assert.ok(batch[1].error);

const upload = await ok(store.createSignedUploadUrl('up/x.txt'));
await ok(store.uploadToSignedUrl(upload.path, upload.token, Buffer.from('signed'), { contentType: 'text/plain' }));
await refused(store.uploadToSignedUrl('up/y.txt', upload.token, Buffer.from('other')), '400');
assert.equal(await text(await ok(store.download('up/x.txt'))), 'signed');

const removed = await ok(store.remove(['dir/moved.txt', 'dir/nothing.txt']));
assert.deepEqual(removed.map((row) => row.name), ['dir/moved.txt']);
