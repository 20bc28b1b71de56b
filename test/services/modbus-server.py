"""An independent Modbus server: two devices on one line. Arguments: tcp PORT | rtu PATH"""
import asyncio
import struct
import sys

from pymodbus.datastore import (
    ModbusSequentialDataBlock,
    ModbusServerContext,
    ModbusSlaveContext,
    ModbusSparseDataBlock,
)
from pymodbus.server import StartAsyncSerialServer, StartAsyncTcpServer
from pymodbus.transaction import ModbusRtuFramer


def words(fmt, value):
    data = struct.pack(">" + fmt, value)
    return list(struct.unpack(">%dH" % (len(data) // 2), data))


holding = [0] * 200
holding[0:1] = [215]
holding[1:2] = words("h", -40)
holding[10:12] = words("f", 21.5)
holding[20:22] = list(reversed(words("f", -3.25)))
holding[30:34] = words("Q", 2**63 + 5)
holding[150:152] = words("i", -70000)

pump = ModbusSlaveContext(
    hr=ModbusSequentialDataBlock(0, holding),
    ir=ModbusSequentialDataBlock(0, [40, 41]),
    co=ModbusSequentialDataBlock(0, [1, 0, 1] + [0] * 20),
    di=ModbusSequentialDataBlock(0, [0, 1]),
    zero_mode=True,
)
# Only these registers are there: what lies between them cannot be read.
meter = ModbusSlaveContext(hr=ModbusSparseDataBlock({5: 230, 9: 16}), zero_mode=True)
context = ModbusServerContext(slaves={1: pump, 2: meter}, single=False)

kind, where = sys.argv[1:]
if kind == "tcp":
    asyncio.run(
        StartAsyncTcpServer(context, address=("127.0.0.1", int(where)), allow_reuse_address=True)
    )
else:
    asyncio.run(
        StartAsyncSerialServer(
            context, framer=ModbusRtuFramer, port=where, baudrate=115200, timeout=1
        )
    )
