"""What all tables share: the metadata with its naming convention, and column types used more than once.

There are no ORM relationships: reads select the columns they need, so nothing can load lazily.
"""

import datetime
import uuid
from typing import Annotated, Any

from sqlalchemy import BigInteger, DateTime, Identity, MetaData, Text, Uuid, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, mapped_column
from uuid_utils.compat import uuid7

Key = Annotated[uuid.UUID, mapped_column(Uuid, primary_key=True, default=uuid7)]
Serial = Annotated[int, mapped_column(BigInteger, Identity(always=True), primary_key=True)]
Time = Annotated[datetime.datetime, mapped_column(DateTime(timezone=True))]
Created = Annotated[datetime.datetime, mapped_column(DateTime(timezone=True), server_default=func.now())]
Json = Annotated[dict[str, Any], mapped_column(JSONB(none_as_null=True))]


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {str: Text, int: BigInteger, datetime.datetime: DateTime(timezone=True)}
