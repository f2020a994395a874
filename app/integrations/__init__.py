"""Services outside of Berth: one file each. No session is open while one of them is asked."""
