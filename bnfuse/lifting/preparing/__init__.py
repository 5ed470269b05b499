"""A model made ready to lift: functions inlined, shapes known, interface remembered."""
