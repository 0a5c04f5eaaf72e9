"""Encrypts or decrypts standard input with Tink's AES256-GCM-HKDF streaming, by a raw key.

Arguments: encrypt|decrypt, the key and the associated data in hex.
"""

import io
import sys

import tink
from tink import secret_key_access, streaming_aead
from tink.proto import aes_gcm_hkdf_streaming_pb2, common_pb2, tink_pb2

TYPE_URL = "type.googleapis.com/google.crypto.tink.AesGcmHkdfStreamingKey"


def primitive(key):
    streaming_aead.register()
    params = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingParams(
        ciphertext_segment_size=65536, derived_key_size=32, hkdf_hash_type=common_pb2.SHA256
    )
    raw = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingKey(version=0, params=params, key_value=key)
    data = tink_pb2.KeyData(
        type_url=TYPE_URL,
        value=raw.SerializeToString(),
        key_material_type=tink_pb2.KeyData.SYMMETRIC,
    )
    keyset = tink_pb2.Keyset(primary_key_id=1)
    keyset.key.add(
        key_data=data, status=tink_pb2.ENABLED, key_id=1, output_prefix_type=tink_pb2.RAW
    )
    handle = tink.proto_keyset_format.parse(keyset.SerializeToString(), secret_key_access.TOKEN)
    return handle.primitive(streaming_aead.StreamingAead)


class Kept(io.BytesIO):
    """Keeps what was written after it is closed."""

    def close(self):
        self.kept = self.getvalue()
        super().close()


def main():
    way, key, associated = sys.argv[1], bytes.fromhex(sys.argv[2]), bytes.fromhex(sys.argv[3])
    content = sys.stdin.buffer.read()
    if way == "encrypt":
        target = Kept()
        with primitive(key).new_encrypting_stream(target, associated) as stream:
            stream.write(content)
        result = target.kept
    else:
        with primitive(key).new_decrypting_stream(io.BytesIO(content), associated) as stream:
            result = stream.read()
    sys.stdout.buffer.write(result)


main()
