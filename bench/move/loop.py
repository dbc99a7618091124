"""A migration as scripts do it: for every row one copy, one UPDATE, one delete, in a pool of threads."""

import sys
from concurrent.futures import ThreadPoolExecutor
from threading import local

import boto3
import psycopg2

endpoint, database = sys.argv[1:3]
own = local()


def clients():
    if not hasattr(own, "s3"):
        own.s3 = boto3.session.Session().client("s3", endpoint_url=endpoint)
        own.db = psycopg2.connect(database)
    return own.s3, own.db


def move(row):
    s3, db = clients()
    number, path = row
    target = "avatar/" + path[len("image/"):]
    s3.copy_object(Bucket="production-s3", Key=target, CopySource={"Bucket": "legacy-s3", "Key": path})
    with db, db.cursor() as cursor:
        cursor.execute("UPDATE avatars SET path = %s WHERE id = %s", (target, number))
    s3.delete_object(Bucket="legacy-s3", Key=path)


with psycopg2.connect(database) as connection, connection.cursor() as cursor:
    cursor.execute("SELECT id, path FROM avatars WHERE path LIKE 'image/%'")
    rows = cursor.fetchall()
with ThreadPoolExecutor(10) as pool:
    for _ in pool.map(move, rows):
        pass
