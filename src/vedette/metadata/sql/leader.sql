-- name: leader
-- description: Which server leads, in which epoch, and from when on its leases are numbered.
SELECT epoch, address, since FROM leader;
