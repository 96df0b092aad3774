-- Writes the history of three tenants into an empty legacy table, straight, as a program would that knows nothing of
-- partitions: 297 events in 30 streams over the last six months. No parameters. Writes nothing if anything is there.
-- Only the dates follow the clock. The hashes are another program's: plain hex, not chained over the content.
WITH tenants (tenant_number, tenant_id, aggregate_type, event_types) AS (
    VALUES
        (1, 'acme', 'order', ARRAY['OrderPlaced', 'ItemAdded', 'OrderPaid', 'OrderPacked', 'OrderShipped', 'OrderDelivered']),
        (2, 'globex', 'shipment', ARRAY['ShipmentBooked', 'PickedUp', 'CustomsCleared', 'HandedOver', 'Delivered']),
        (3, 'initech', 'invoice', ARRAY['InvoiceDrafted', 'InvoiceIssued', 'ReminderSent', 'PaymentReceived'])
),
streams AS (
    SELECT
        tenants.tenant_number,
        tenants.tenant_id,
        tenants.aggregate_type,
        tenants.event_types,
        stream_number::text AS aggregate_id,
        6 + (7 * stream_number + tenants.tenant_number) % 9 AS last_version,
        -- 180 to 60 days ago: the last event of a stream, at most 13 steps of 4 days later, lies in the past.
        date_trunc('day', now()) - make_interval(days => 180 - 17 * stream_number % 120, hours => -7) AS began_at
    FROM tenants
    CROSS JOIN generate_series(1, 10) AS stream_number
),
events AS (
    SELECT
        streams.*,
        version,
        coalesce(event_types[version], 'NoteAdded') AS event_type,
        began_at + (version - 1) * interval '4 days 1 hour 13 minutes' AS happened_at,
        format('%s/%s/%s', tenant_id, aggregate_type, aggregate_id) AS stream_name
    FROM streams
    CROSS JOIN generate_series(1, last_version) AS version
)
INSERT INTO public.event_store (
    event_id, event_type, aggregate_type, aggregate_id, aggregate_version, event_data, event_metadata, tenant_id,
    user_id, correlation_id, legal_basis, data_classification, event_hash, previous_event_hash, event_timestamp,
    created_at
)
SELECT
    md5(format('%s/%s', stream_name, version))::uuid,
    event_type,
    aggregate_type,
    aggregate_id,
    version,
    jsonb_build_object('step', version, 'amount', (1990 + 1735 * version % 7919) / 100.0, 'currency', 'EUR'),
    jsonb_build_object('source', 'monolith', 'schema', 1),
    tenant_id,
    'monolith',
    format('%s-%s', aggregate_type, aggregate_id),
    'contract',
    'internal',
    encode(sha256(convert_to(format('%s/%s', stream_name, version), 'UTF8')), 'hex'),
    CASE WHEN version > 1 THEN
        encode(sha256(convert_to(format('%s/%s', stream_name, version - 1), 'UTF8')), 'hex')
    END,
    happened_at,
    happened_at + interval '40 milliseconds'
FROM events
WHERE NOT EXISTS (SELECT FROM public.event_store)
ORDER BY happened_at, stream_name, version;
