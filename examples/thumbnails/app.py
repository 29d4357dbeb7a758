"""A Lambda function: for every image that lands in the bucket it writes a thumbnail to the bucket named in TARGET_BUCKET."""

import io
import os
from urllib.parse import unquote_plus

import boto3
from PIL import Image, ImageOps

SIZE = (160, 160)
s3 = boto3.client("s3")


def handler(event, context):
    made = []
    for record in event["Records"]:
        bucket = record["s3"]["bucket"]["name"]
        key = unquote_plus(record["s3"]["object"]["key"])
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        with Image.open(io.BytesIO(body)) as image:
            kind = image.format
            small = ImageOps.exif_transpose(image)
            small.thumbnail(SIZE)
            out = io.BytesIO()
            small.save(out, kind)
        s3.put_object(
            Bucket=os.environ["TARGET_BUCKET"],
            Key=key,
            Body=out.getvalue(),
            ContentType=Image.MIME[kind],
            Metadata={"width": str(small.width), "height": str(small.height), "request-id": context.aws_request_id},
        )
        print(f"{key}: {len(body)} bytes -> {small.width}x{small.height}, {out.tell()} bytes")
        made.append(key)
    return {"made": made}
